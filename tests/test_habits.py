"""Teams keep the tools that they have: uv, pre-commit, dev containers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.bakery import ROOT, bake
from tests.following import run

TOOLS = Path(sys.executable).parent
UV = str(TOOLS / "uv")


@pytest.mark.needs("make")
def test_what_uv_makes_of_the_groups_runs_the_service_and_is_left_alone_by_make(template: Path, place: Path) -> None:
    project = bake(template, place)
    run(project, UV, "sync", "--quiet", "--no-default-groups", "--python", sys.executable)
    command = [UV, "run", "--quiet", "--no-default-groups", "python", "-m", "service", "--help"]
    assert "usage: python -m service" in run(project, *command)
    run(project, "make", "setup")
    assert not (project / ".venv" / "requirements.txt").exists()
    everything = subprocess.run([UV, "sync", "--dry-run"], cwd=project, capture_output=True, text=True, check=True)
    for package in ("pytest", "locust", "boto3", "ruff"):
        assert f" + {package}==" in everything.stderr


@pytest.mark.needs("make")
def test_the_hook_puts_right_what_it_can_and_refuses_the_rest(template: Path, place: Path) -> None:
    project = bake(template, place, example="none")
    (repository,) = yaml.safe_load((project / ".pre-commit-config.yaml").read_text())["repos"]
    (hook,) = repository["hooks"]
    assert repository["repo"] == "local"
    assert {"id", "name", "entry", "language"} <= hook.keys()
    assert (hook["language"], hook["pass_filenames"]) == ("system", False)

    new = project / "service" / "new.py"
    new.write_text("import sys\nimport os\n\nLOST = (os,sys,undefined)\n")
    command = [*hook["entry"].split(), "--assume-old=setup", f"bin={TOOLS}"]
    refusal = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert refusal.returncode != 0
    assert "F821" in refusal.stdout
    assert new.read_text() == "import os\nimport sys\n\nLOST = (os, sys, undefined)\n"


def test_the_dev_container_has_the_python_of_the_image(project: Path) -> None:
    container = json.loads((project / ".devcontainer" / "devcontainer.json").read_text())
    (version,) = set(
        re.findall(r"^FROM docker.io/library/python:([\d.]+)-", (project / "Dockerfile").read_text(), re.M)
    )
    assert container["image"] == f"docker.io/library/python:{version}"
    assert container["postCreateCommand"] == "make setup"
    assert container["forwardPorts"] == [8000]


def test_every_command_of_the_contributors_page_exists() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)", page))
    makefiles = [ROOT / "Makefile", ROOT / "{{cookiecutter.project_slug}}" / "Makefile"]
    targets = {name for file in makefiles for name in re.findall(r"^([a-z-]+):", file.read_text(), re.MULTILINE)}
    assert {"setup", "lint", "test", "test-engine"} <= named <= targets
    assert [path for path in re.findall(r"`([a-z_]+/[\w/.-]+)`", page) if not exists(path)] == []


def exists(path: str) -> bool:
    return any((house / path).exists() for house in (ROOT, ROOT / "{{cookiecutter.project_slug}}"))
