"""What `pyproject.toml` says about this project, for the documents that describe it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).parents[3] / "pyproject.toml"


@dataclass(frozen=True)
class Project:
    name: str
    version: str
    description: str


def read_project() -> Project:
    declared = tomllib.loads(_FILE.read_text(encoding="utf-8"))["project"]
    return Project(declared["name"], declared["version"], declared["description"])
