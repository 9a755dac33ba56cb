"""Bakes projects from a clean copy of the template: what a clone holds, no caches and no virtual environments."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parents[1]
# What a project keeps from one demo to the next: its packages, its key and its database.
KEPT = {".venv", ".local"}


def template_files() -> Iterator[Path]:
    """Every file of the template, relative to its root: what git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return (Path(name) for name in sorted(set(listing.split("\0"))) if (ROOT / name).is_file())


def copy_template(destination: Path) -> Path:
    for file in template_files():
        (destination / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, destination / file)
    return destination


def bake(template: Path, output: Path, **answers: str) -> Path:
    """The generated project, over one that is there; the cookiecutter settings of this machine's user play no part."""
    with TemporaryDirectory() as scratch:
        config = Path(scratch, "config.yaml")
        config.write_text(json.dumps({"cookiecutters_dir": scratch, "replay_dir": scratch}))
        project = cookiecutter(
            str(template),
            no_input=True,
            extra_context=answers,
            overwrite_if_exists=True,
            output_dir=str(output),
            config_file=str(config),
        )
    return Path(project)


def refresh(project: Path, fresh: Path) -> None:
    """Put the fresh bake in the place of the project, which keeps what it made itself."""
    project.mkdir(parents=True, exist_ok=True)
    for entry in project.iterdir():
        if entry.name not in KEPT:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    shutil.copytree(fresh, project, dirs_exist_ok=True)


if __name__ == "__main__":
    build = Path(sys.argv[1])
    with TemporaryDirectory() as scratch:
        template = copy_template(Path(scratch, "template"))
        fresh = bake(template, Path(scratch))
        refresh(build / fresh.name, fresh)
    print(f"generated {build / fresh.name}")
