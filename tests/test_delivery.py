"""Workflows, the image, compose and scripts, read by the tools that know them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT_DIRECTORY = "{{cookiecutter.project_slug}}"
TOOLS = Path(sys.executable).parent


def run(tool: str, *arguments: str | Path, directory: Path) -> None:
    """Run a tool of .venv, which finds the others there (actionlint calls shellcheck)."""
    environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "NO_COLOR": "1"}
    command = [str(TOOLS / tool), *map(str, arguments)]
    result = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(params=["template", "project"])
def house(request: pytest.FixtureRequest) -> Path:
    """The template, and what it generates: both have workflows."""
    directory: Path = request.getfixturevalue(request.param)
    return directory


def test_workflows_are_correct_and_safe(house: Path) -> None:
    workflows = sorted((house / ".github" / "workflows").iterdir())
    assert workflows
    run("actionlint", "-no-color", *workflows, directory=house)
    run("zizmor", "--offline", "--pedantic", "--quiet", ".github", directory=house)
    run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows, directory=house)
    run("check-jsonschema", "--builtin-schema", "custom.github-workflows-require-timeout", *workflows, directory=house)
    run("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml", directory=house)


def test_actions_are_pinned_to_a_commit_and_name_its_version(house: Path) -> None:
    pinned = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    uses = [
        line.strip().removeprefix("- ")
        for file in (house / ".github").rglob("*.yml")
        for line in file.read_text().splitlines()
        if "uses:" in line and "uses: ./" not in line
    ]
    assert uses
    assert [line for line in uses if not pinned.fullmatch(line)] == []


def test_the_dockerfiles_are_sound(project: Path) -> None:
    run("hadolint", "Dockerfile", "loadtests/engine/Dockerfile", directory=project)


def test_every_image_is_built_on_one_that_is_named_by_its_digest(project: Path) -> None:
    bases = [
        line.split()[1]
        for dockerfile in project.rglob("Dockerfile")
        for line in dockerfile.read_text().splitlines()
        if line.startswith("FROM ")
    ]
    assert len(bases) == 3
    assert len(set(bases)) == 1
    assert re.fullmatch(r"docker\.io/library/python:\S+@sha256:[0-9a-f]{64}", bases[0])


def test_compose_is_sound(project: Path) -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml", directory=project)


def test_yaml_is_tidy(house: Path, template: Path) -> None:
    files = [path for path in house.rglob("*.y*ml") if "cookiecutter." not in str(path.relative_to(house))]
    run("yamllint", "--strict", "--config-file", template / ".yamllint", *files, directory=house)


def test_shell_scripts_are_sound(template: Path) -> None:
    run("shellcheck", ".ci/run", directory=template)


def test_compose_reads_its_file(project: Path) -> None:
    """As `docker compose config` does; `docker compose up --build --wait` needs an engine."""
    command = [str(TOOLS / "docker-compose"), "config", "--format", "json"]
    environment = {**os.environ, "SECRET_KEY": "k" * 32}
    result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["services"].keys() == {"service", "migrate", "database", "valkey"}


def test_every_provider_that_is_pinned_is_kept_up_to_date(house: Path) -> None:
    updates = yaml.safe_load((house / ".github" / "dependabot.yml").read_text())["updates"]
    looked_at = {
        directory
        for update in updates
        if update["package-ecosystem"] == "terraform"
        for directory in update["directories"]
    }
    locks = house.rglob(".terraform.lock.hcl")
    assert looked_at == {f"/{path.parent.relative_to(house)}" for path in locks}
    # A line of a file with hashes cannot be edited alone, as Dependabot would.
    assert "pip" not in {update["package-ecosystem"] for update in updates}


def test_every_package_that_is_pinned_is_locked_anew_each_week(house: Path, template: Path) -> None:
    steps = yaml.safe_load((house / ".github" / "workflows" / "dependencies.yml").read_text())["jobs"]["lock"]["steps"]
    assert "make lock" in [step.get("run") for step in steps]
    recipes = (house / "Makefile").read_text() + (template / PROJECT_DIRECTORY / "Makefile").read_text()
    locked = set(re.findall(r"--output-file (\S+)", recipes))
    pinned = {
        str(path.relative_to(house)).removeprefix(f"{PROJECT_DIRECTORY}/") for path in house.rglob("*requirements.txt")
    }
    assert pinned <= locked
    for path in house.rglob("*requirements.txt"):
        assert not re.search(r"https?://|--index-url|--extra-index", path.read_text()), path
