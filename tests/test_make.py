"""The commands say what they do, and what is missing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("make")

COMMANDS = {
    "template": {"setup", "demo", "test", "lint", "lock", "help"},
    "project": {"setup", "run", "test", "test-engine", "lint", "loadtest", "lock", "help"},
}


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--directory", str(directory), "--no-print-directory", *arguments]
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)


@pytest.fixture(params=COMMANDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the template, or of what it generates."""
    source: Path = request.getfixturevalue(request.param)
    return Path(shutil.copytree(source, tmp_path / str(request.param)))


def test_help_lists_every_command(house: Path) -> None:
    assert set(re.findall(r"make ([a-z-]+)", make(house).stdout)) >= COMMANDS[house.name]


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("exit 127", "is not Python 3.11 to 3.15: install one of them, or name it: make PYTHON=python3.14"),
        (
            'case "$2" in *version_info*) ;; *) exit 1 ;; esac',
            "cannot make virtual environments: install its venv module",
        ),
    ],
    ids=["no usable Python", "no venv module"],
)
def test_what_is_missing_is_said_in_one_line(house: Path, script: str, complaint: str) -> None:
    python = house / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    refusal = make(house, "setup", f"PYTHON={python}")
    assert refusal.returncode != 0
    (line,) = (line for line in refusal.stderr.splitlines() if not line.startswith("make"))
    assert complaint in line
