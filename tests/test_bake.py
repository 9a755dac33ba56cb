"""What the template generates."""

import re
import shutil
import tempfile
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.bakery import ROOT, bake
from tests.files import BINARY, assert_valid, tree

CODE = {".py", ".tf", ".js", ".html", ".css"}
PINS = [
    *(f"{room}/requirements.txt" for room in ("service", "tests", "loadtests", "infra")),
    "service/run-requirements.txt",
]
TOP_LEVEL = {
    *{"service", "infra", "tests", "loadtests", ".github", "pyproject.toml", "Dockerfile"},
    *{"compose.yaml", "Makefile", "README.md", "AGENTS.md", ".env.example", "docs"},
    *{".devcontainer", ".dockerignore", ".editorconfig", ".gitignore", ".pre-commit-config.yaml"},
}


def texts(directory: Path) -> dict[str, str]:
    files = {name: content for name, content in tree(directory).items() if content is not None}
    return {name: content.decode() for name, content in files.items() if Path(name).suffix not in BINARY}


def pins(project: Path, file: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (project / file).read_text(), re.MULTILINE))


def test_the_top_level_is_as_promised(project: Path) -> None:
    assert {path.name for path in project.iterdir()} == TOP_LEVEL


def test_every_generated_file_is_valid(project: Path) -> None:
    assert_valid(project)


def test_nothing_is_left_unrendered(project: Path) -> None:
    unrendered = re.compile(r"\{\{-? *cookiecutter|\{%|\{#")
    assert not [name for name, text in texts(project).items() if "cookiecutter." in name or unrendered.search(text)]


def test_code_holds_no_jinja_and_arrives_byte_for_byte(template: Path, project: Path) -> None:
    source, generated = tree(template / "{{cookiecutter.project_slug}}"), tree(project)
    code = [name for name in source if Path(name).suffix in CODE and not name.startswith(".blank")]
    assert code
    assert [name for name in code if source[name] != generated[name]] == []
    assert [name for name in code if b"cookiecutter." in (source[name] or b"")] == []


def test_every_template_file_is_generated(template: Path, project: Path) -> None:
    source = {name for name in tree(template / "{{cookiecutter.project_slug}}") if not name.startswith(".blank")}
    assert source == tree(project).keys()


def test_two_bakes_are_identical(template: Path, project: Path, tmp_path: Path) -> None:
    assert tree(bake(template, tmp_path)) == tree(project)


def test_the_answers_arrive(template: Path, tmp_path: Path) -> None:
    answers = {"github_owner": "octo-cat", "aws_region": "ap-southeast-2", "domain_name": "live.octo.example"}
    everything = "\n".join(texts(bake(template, tmp_path, **answers)).values())
    assert [answer for answer in answers.values() if answer not in everything] == []


def test_nothing_tells_where_it_was_made(template: Path) -> None:
    places = [str(Path.home()), str(ROOT), tempfile.gettempdir() + "/tmp"]
    traces = re.compile("|".join([r"file:///\w", r"https?://\S+/simple\b", *map(re.escape, places)]))
    assert [name for name, text in texts(template).items() if traces.search(text)] == []


@pytest.mark.parametrize("file", PINS)
def test_requirements_are_pins_and_hashes_without_any_address(project: Path, file: str) -> None:
    allowed = re.compile(r"[a-z0-9-]+==[^ ;]+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    lines = (project / file).read_text().splitlines()
    assert [line for line in lines if not allowed.fullmatch(line)] == []


def test_the_rooms_share_their_pins(project: Path) -> None:
    everything = pins(project, "tests/requirements.txt")
    assert all(pins(project, file).items() <= everything.items() for file in PINS)


def test_the_pins_are_what_pyproject_asks_for(project: Path) -> None:
    metadata = tomllib.loads((project / "pyproject.toml").read_text())
    groups = metadata["dependency-groups"]
    asked = {
        "service/requirements.txt": metadata["project"]["dependencies"],
        "service/run-requirements.txt": [*metadata["project"]["dependencies"], *groups["run"]],
        "tests/requirements.txt": [
            *metadata["project"]["dependencies"],
            *(line for line in groups["dev"] if isinstance(line, str)),
        ],
        "loadtests/requirements.txt": groups["loadtest"],
        "infra/requirements.txt": groups["deploy"],
    }
    assert asked.keys() == set(PINS)
    for file, lines in asked.items():
        pinned = pins(project, file)
        for requirement in map(Requirement, lines):
            version = pinned.get(canonicalize_name(requirement.name))
            assert version, f"{requirement.name} is not pinned in {file}: make lock"
            assert requirement.specifier.contains(version), f"{requirement} is pinned to {version} in {file}: make lock"


@pytest.mark.parametrize(
    "cache", ["service/__pycache__/app.pyc", ".mypy_cache/3.11/cache.db", ".pytest_cache/x", ".hypothesis/examples/x"]
)
def test_caches_in_a_work_tree_do_not_stop_the_generation(template: Path, tmp_path: Path, cache: str) -> None:
    used = Path(shutil.copytree(template, tmp_path / "used"))
    file = used / "{{cookiecutter.project_slug}}" / cache
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xfa{{ no Jinja }}")
    assert (bake(used, tmp_path) / cache).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("file", ["docs/settings.md", ".env.example"])
def test_every_setting_of_the_engine_is_listed(project: Path, file: str) -> None:
    code = (project / "service" / "engine" / "foundation" / "settings.py").read_text()
    fields = re.findall(
        r"^    ([a-z_]+): (?!ClassVar).+", code.partition("class Settings(")[2].partition("    @")[0], re.MULTILINE
    )
    assert len(fields) > 25
    text = (project / file).read_text()
    assert [name.upper() for name in fields if name.upper() not in text] == []
