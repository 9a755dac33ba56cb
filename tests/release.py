"""The last release of the template: stored as it was, so that updates are tested from it."""

import lzma
import subprocess
import tarfile
import tomllib
from pathlib import Path

from tests.bakery import ROOT

RELEASES = ROOT / "tests" / "releases"
TEMPLATE = ["cookiecutter.json", "hooks", "{{cookiecutter.project_slug}}"]
"""What cookiecutter takes."""


def version() -> str:
    """The template's, as pyproject.toml has it."""
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


def last_release() -> Path:
    """The only archive there is."""
    (archive,) = RELEASES.iterdir()
    return archive


def unpack(directory: Path) -> Path:
    with tarfile.open(last_release()) as archive:
        archive.extractall(directory, filter="data")
    return directory


def store() -> Path:
    """Put the template of the last commit in the place of the release before."""
    RELEASES.mkdir(exist_ok=True)
    archive = subprocess.run(["git", "archive", "HEAD", "--", *TEMPLATE], cwd=ROOT, check=True, capture_output=True)
    for older in RELEASES.iterdir():
        older.unlink()
    file = RELEASES / f"{version()}.tar.xz"
    file.write_bytes(lzma.compress(archive.stdout))
    return file


if __name__ == "__main__":
    print(f"stored {store().relative_to(ROOT)}")
