"""The floors of the house: a module imports only from below, and the engine knows nothing of comments."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import PROJECT

SERVICE = PROJECT / "service"
FLOORS = [
    {"settings", "wire", "project"},
    {"messages", "problems", "cancellation", "observability", "development"},
    {"models", "database"},
    {"auth", "migrations"},
    {"realtime"},
    {"comments", "notifications", "readiness"},
    {"endpoints", "errors", "http", "asyncapi"},
    {"web"},
    {"app"},
    {"server"},
    {"__main__"},
]
YOURS = 5
"""The floor of a room that is not listed: a new module next to `comments.py`."""
DOMAIN = {"comments", "notifications", "endpoints", "models", "messages"}


def modules() -> dict[str, Path]:
    """Every module of the service by its dotted name."""
    found = {}
    for path in sorted(SERVICE.rglob("*.py")):
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


def room(module: str) -> str:
    """The room (first part below `service`) of a module of ours, else an empty string."""
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] if first == "service" else ""


def floor(name: str) -> int:
    return next((number for number, rooms in enumerate(FLOORS) if name in rooms), YOURS)


MODULES = modules()


@pytest.mark.parametrize("module", [name for name in MODULES if room(name)])
def test_a_room_imports_only_from_the_floors_below(module: str) -> None:
    here = room(module)
    for imported in imports(MODULES[module]):
        there = room(imported)
        if there and there != here and (f"service.{there}" in MODULES):
            assert floor(there) < floor(here), f"{module} imports {imported}"


def test_every_room_on_a_floor_exists() -> None:
    assert not {name for rooms in FLOORS for name in rooms if f"service.{name}" not in MODULES}


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) == "realtime"])
def test_the_engine_knows_nothing_of_the_domain(module: str) -> None:
    text = MODULES[module].read_text()
    assert not {room(imported) for imported in imports(MODULES[module])} & DOMAIN
    assert not re.search(r"comment|notification|\bpost_id\b", text, re.IGNORECASE)


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph = {
        name: {imported for imported in imports(path) if imported in MODULES and imported != name}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way, name])
        if name not in done:
            for imported in graph[name]:
                visit(imported, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("module", MODULES)
def test_a_modules_first_line_says_what_it_is_for(module: str) -> None:
    path = MODULES[module]
    if path.read_text().strip():
        assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_of_a_size_one_can_read(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 300


def test_no_room_is_a_drawer_for_everything() -> None:
    vague = {"manager", "helper", "helpers", "util", "utils", "misc", "common", "base"}
    assert not {part for module in MODULES for part in module.split(".")} & vague


def test_endpoints_open_no_session_and_catch_no_error() -> None:
    """What the engine does for all is not repeated in an endpoint."""
    for name, path in MODULES.items():
        if room(name) == "endpoints":
            assert "service.database" not in set(imports(path))
            assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Try)]
