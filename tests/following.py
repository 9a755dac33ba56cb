"""Projects that follow the template: what git and cruft do to them."""

import os
import subprocess
import sys
from pathlib import Path

IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "A user"), ("EMAIL", "user@example.com"))
}
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "DATABASE_URL"))
}
ENVIRONMENT |= IDENTITY | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def run(directory: Path, *command: str, status: int = 0) -> str:
    result = subprocess.run(
        command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, timeout=800, check=False
    )
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout


def python(directory: Path, *arguments: str) -> str:
    return run(directory, sys.executable, "-B", *arguments)


def cruft(directory: Path, *arguments: str, status: int = 0) -> str:
    return run(directory, sys.executable, "-m", "cruft", *arguments, status=status)


def begin(directory: Path) -> None:
    run(directory, "git", "init", "--quiet", "--initial-branch", "main")
    commit(directory, "begin")


def commit(directory: Path, message: str) -> None:
    run(directory, "git", "add", "--all")
    run(directory, "git", "commit", "--quiet", "--message", message)


def follow(template: Path, projects: Path, answers: str = "{}") -> Path:
    """A project made by cruft and committed; the answers are JSON."""
    options = ["--no-input", "--default-config", "--extra-context", answers, "--output-dir", str(projects)]
    cruft(projects.parent, "create", str(template), *options)
    (project,) = projects.iterdir()
    begin(project)
    return project


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
