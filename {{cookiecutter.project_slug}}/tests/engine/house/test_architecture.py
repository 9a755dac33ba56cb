"""One rule: what lies in a folder called `engine` imports nothing from outside it. And the floors of the engine."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.kit.commands import PROJECT

MAY_IMPORT = {
    "service": {"service.engine"},
    "tests": {"tests.engine", "service.engine", "loadtests.engine"},
    "loadtests": {"loadtests.engine", "service.engine"},
}
"""By the tree that an `engine` folder is in: where it may import from, the libraries aside."""
FLOORS = [
    "foundation",
    "storage",
    "auth",
    "streams",
    "link",
    "delivery",
    "process",
    "connection",
    "endpoints",
    "documents",
    "observability",
    "application",
]
"""Of `service/engine`, the lowest first: a module imports from its own floor and from lower ones."""
TREES = [tree for tree in MAY_IMPORT if (PROJECT / tree / "engine").is_dir()]
LONGEST = 320
VAGUE = {"manager", "helper", "helpers", "util", "utils", "misc", "common", "base"}


def modules(tree: str) -> dict[str, Path]:
    """Every module below a tree's `engine` by its dotted name."""
    found = {}
    for path in sorted((PROJECT / tree / "engine").rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """What a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names_in_strings(path: Path) -> Iterator[str]:
    """What a file may import by a name in a text, such as `service.app:application`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            file = PROJECT.joinpath(*name.split("."))
            if "." in name and (file.with_suffix(".py").is_file() or file.joinpath("__init__.py").is_file()):
                yield name


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def is_of_project(module: str) -> bool:
    """Whether it begins with a package of this project."""
    top = PROJECT / module.partition(".")[0]
    return top.is_dir() and any(top.glob("*.py"))


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """A way that leads back to where it began, if there is one."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name not in done:
            for imported in sorted(graph[name]):
                if found := visit(imported, [*way, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in graph if (found := visit(name, []))), [])


ALL = {name: path for tree in TREES for name, path in modules(tree).items()}
ENGINE = modules("service")


def floor(module: str) -> str:
    """Of a module of the engine, or nothing for the engine itself and for the client."""
    found = [*module.split("."), "", ""][2] if is_in(module, "service.engine") else ""
    return found if (PROJECT / "service" / "engine" / found).is_dir() else ""


@pytest.mark.parametrize("module", ALL)
def test_what_is_ours_imports_nothing_of_yours(module: str) -> None:
    allowed = MAY_IMPORT[module.partition(".")[0]]
    foreign = {
        imported
        for imported in (*imports(ALL[module]), *names_in_strings(ALL[module]))
        if is_of_project(imported)
        and not any(is_in(imported, package) for package in allowed)
        and not any(is_in(package, imported) for package in allowed)
    }
    assert not foreign, f"{module} imports {sorted(foreign)}, which an engine folder must not know of"


def test_every_folder_of_the_engine_is_a_floor() -> None:
    folders = {path.parent.name for path in (PROJECT / "service" / "engine").glob("*/*.py")}
    assert folders == set(FLOORS), "a new folder needs a place in FLOORS, and one that is gone does not"


@pytest.mark.parametrize("module", [module for module in ENGINE if floor(module)])
def test_a_module_imports_from_its_own_floor_and_lower_ones(module: str) -> None:
    here = FLOORS.index(floor(module))
    higher = {
        imported
        for imported in imports(ENGINE[module])
        if imported in ENGINE and floor(imported) and FLOORS.index(floor(imported)) > here
    }
    assert not higher, f"{module} imports {sorted(higher)} from above"


def test_the_client_can_be_copied_to_where_it_is_used() -> None:
    foreign = set(imports(ENGINE["service.engine.client"])) - {"websockets"}
    assert not {name for name in foreign if is_of_project(name)}


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph = {name: {each for each in imports(path) if each in ALL and each != name} for name, path in ALL.items()}
    assert not (way := circle_in(graph)), " -> ".join(way)


@pytest.mark.parametrize("module", ALL)
def test_a_modules_first_line_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(ast.parse(ALL[module].read_text()))


@pytest.mark.parametrize("module", ENGINE)
def test_a_module_is_of_a_size_one_can_read(module: str) -> None:
    assert len(ENGINE[module].read_text().splitlines()) <= LONGEST


def test_no_folder_is_a_drawer_for_everything() -> None:
    assert not {part for module in ALL for part in module.split(".")} & VAGUE
