"""A project follows the template: `cruft create`, `check`, `diff` and `update`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bakery import copy_template
from tests.files import tree

IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "A user"), ("EMAIL", "user@example.com"))
}
ENVIRONMENT = {**os.environ, **IDENTITY, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

pytestmark = pytest.mark.needs("git")


def run(directory: Path, *command: str, status: int = 0) -> str:
    result = subprocess.run(command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout


def cruft(directory: Path, *arguments: str, status: int = 0) -> str:
    return run(directory, sys.executable, "-m", "cruft", *arguments, status=status)


def commit(directory: Path, message: str) -> None:
    run(directory, "git", "add", "--all")
    run(directory, "git", "commit", "--quiet", "--message", message)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository of the template, free to be changed."""
    repository = copy_template(tmp_path / "upstream")
    run(repository, "git", "init", "--quiet", "--initial-branch", "main")
    commit(repository, "first version")
    return repository


@pytest.fixture
def followed(upstream: Path, tmp_path: Path) -> Path:
    """A project made by cruft and committed."""
    cruft(
        tmp_path, "create", str(upstream), "--no-input", "--default-config", "--output-dir", str(tmp_path / "projects")
    )
    directory = tmp_path / "projects" / "live-service"
    run(directory, "git", "init", "--quiet", "--initial-branch", "main")
    commit(directory, "generated")
    return directory


def test_cruft_creates_what_cookiecutter_bakes(followed: Path, project: Path) -> None:
    created = {name: content for name, content in tree(followed).items() if not name.startswith(".git/")}
    assert created.keys() - tree(project).keys() == {".git", ".cruft.json"}
    assert {name: created[name] for name in tree(project)} == tree(project)


def test_a_fresh_project_is_up_to_date_and_differs_in_nothing(followed: Path) -> None:
    cruft(followed, "check")
    assert cruft(followed, "diff") == ""


def test_an_update_arrives_and_the_edit_of_a_user_survives_it(followed: Path, upstream: Path) -> None:
    replace(followed / "Makefile", "make %-15s", "make %-18s")
    (followed / "service" / "ours.py").write_text('"""Ours."""\n')
    commit(followed, "our edit")

    generated = upstream / "{{cookiecutter.project_slug}}"
    replace(generated / "Makefile", "install everything into .venv", "install it all into .venv")
    replace(generated / "pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"')
    (generated / "service" / "news.py").write_text('"""News."""\n')
    (generated / "loadtests" / "locust.conf").unlink()
    commit(upstream, "second version")

    cruft(followed, "check", status=1)
    cruft(followed, "update", "--skip-apply-ask")

    makefile = (followed / "Makefile").read_text()
    assert "make %-18s" in makefile
    assert "install it all into .venv" in makefile
    assert 'version = "0.2.0"' in (followed / "pyproject.toml").read_text()
    assert (followed / "service" / "news.py").exists()
    assert (followed / "service" / "ours.py").exists()
    assert not (followed / "loadtests" / "locust.conf").exists()
    assert list(followed.rglob("*.rej")) == []

    cruft(followed, "check")
    changed = [line for line in cruft(followed, "diff").splitlines() if line.startswith(("+", "-"))]
    assert [line for line in changed if "make %-" not in line and not line.startswith(("+++", "---"))] == []
