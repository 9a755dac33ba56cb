"""With the example and without: whole files are left out, and what is left speaks of nothing else."""

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.bakery import ROOT, bake
from tests.files import BINARY, assert_valid, tree

WRITTEN_ANEW = {"service/app.py", "service/settings.py"}
GUIDES = {"docs", "README.md", "AGENTS.md"}
OF_THE_EXAMPLE = re.compile(r"\bcomments?\b|live.comments|new_comment|comment_|\bpost_id\b|notification", re.IGNORECASE)
HOOK = ast.parse((ROOT / "hooks" / "post_gen_project.py").read_text().replace("{{ cookiecutter | tojson }}", "{}"))


def example() -> list[str]:
    """The files and directories of the example, as the hook names them."""
    (value,) = (
        node.value
        for node in HOOK.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLE"
    )
    names: list[str] = ast.literal_eval(value)
    return names


@pytest.fixture(scope="session")
def blank(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without the example. Read it, do not write to it."""
    return bake(template, tmp_path_factory.mktemp("blank"), example="none")


def test_whole_files_are_left_out_and_nothing_else(project: Path, blank: Path) -> None:
    full, rest = tree(project), tree(blank)
    assert rest.keys() - full.keys() == {"service/migrations/versions/.gitkeep"}
    left_out = {name for name in full.keys() - rest.keys() if full[name] is not None or name in example()}
    assert left_out == {
        name for name in full if any(name == path or fnmatch(name, f"{path}/*") for path in example())
    } - {name for name, content in full.items() if content is None and name not in example()}
    assert {name for name in rest.keys() & full.keys() if rest[name] != full[name]} == WRITTEN_ANEW


def test_without_the_example_no_file_speaks_of_it(blank: Path) -> None:
    speaking = {}
    for name, content in tree(blank).items():
        if content is None or Path(name).suffix in BINARY or Path(name).parts[0] in GUIDES:
            continue
        if found := sorted({line.strip() for line in content.decode().splitlines() if OF_THE_EXAMPLE.search(line)}):
            speaking[name] = found
    assert speaking == {}


def test_without_the_example_every_file_is_valid(blank: Path) -> None:
    assert_valid(blank)


def test_two_bakes_without_the_example_are_identical(template: Path, blank: Path, tmp_path: Path) -> None:
    assert tree(bake(template, tmp_path, example="none")) == tree(blank)


@pytest.mark.parametrize("answer", ["comments", "none"])
def test_generating_again_changes_nothing(template: Path, tmp_path: Path, answer: str) -> None:
    first = tree(bake(template, tmp_path, example=answer))
    assert tree(bake(template, tmp_path, example=answer)) == first


def test_the_engine_does_not_speak_of_the_example(project: Path) -> None:
    """Nor do its tests and load tests: they are complete without it."""
    code = [path for path in project.rglob("*") if "engine" in path.parts[len(project.parts) :] and path.is_file()]
    assert code
    speaking = [path for path in code if OF_THE_EXAMPLE.search(path.read_text())]
    assert [str(path.relative_to(project)) for path in speaking] == []


def test_the_guide_deletes_what_the_hook_leaves_out(project: Path) -> None:
    guide = (project / "docs" / "replace-the-example.md").read_text()
    commands = re.findall(r"^rm (?:-r )?([^#\n]+)", guide, re.MULTILINE)
    deleted = {
        str(path.relative_to(project)) for words in commands for word in words.split() for path in project.glob(word)
    }
    assert set(example()) == deleted - {".local/postgres"}


def test_the_guide_shows_the_application_that_is_left(project: Path, blank: Path) -> None:
    guide = (project / "docs" / "replace-the-example.md").read_text()
    (shown,) = re.findall(
        r"^```python\n# service/app.py \(without the example\)\n(.*?)^```", guide, re.MULTILINE | re.DOTALL
    )
    assert shown == (blank / "service" / "app.py").read_text()
