"""A project with nothing in it but the engine, and what a guide adds to it."""

import ast
import re
import shutil
from pathlib import Path

from tests.engine.kit.commands import PROJECT

BLOCK = re.compile(r"^```(?:python|js|toml)\n(?:#|//) (\S+)( \(what is added\))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = {
    "service/__init__.py": '"""The service."""\n',
    "service/__main__.py": '''"""The commands."""

import sys

from service.engine.application.commands import main

if __name__ == "__main__":
    sys.exit(main("service.app:application"))
''',
    "service/app.py": '''"""The application."""

from pathlib import Path

from service.engine.application.application import Application
from service.settings import Settings

application = Application(
    settings=Settings,
    streams=[],
    endpoints=[],
    around=[],
    migrations=Path(__file__).parent / "migrations",
)
''',
    "service/settings.py": '''"""Settings of one's own."""

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from service.engine.endpoints.parameters import settings_of
from service.engine.foundation.settings import Settings as EngineSettings


class Settings(EngineSettings):
    """What an operator can set."""


async def _settings(connection: HTTPConnection) -> Settings:
    return settings_of(connection, Settings)


CurrentSettings = Annotated[Settings, Depends(_settings)]
''',
    "service/endpoints/__init__.py": '"""The endpoints."""\n',
    "service/migrations/env.py": '''"""Alembic's entry."""

from service.app import application
from service.engine.application.migrate import run_migrations

run_migrations(application)
''',
    "tests/__init__.py": "",
    "tests/conftest.py": '"""The fixtures."""\n\npytest_plugins = ["tests.engine.kit.plugin"]\n',
    "tests/engine/__init__.py": '"""Ours."""\n',
}
BROUGHT = ("service/engine", "tests/engine/kit")


def make(directory: Path) -> None:
    """Write the project."""
    for part in BROUGHT:
        shutil.copytree(PROJECT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    (directory / "service" / "migrations" / "versions").mkdir()
    template = PROJECT / "tests" / "engine" / "application" / "migrations" / "script.py.mako"
    shutil.copy(template, directory / "service" / "migrations")
    shutil.copy(PROJECT / "pyproject.toml", directory)


def apply(guide: Path, project: Path) -> list[str]:
    """Write the files that a guide shows, and add to those that it adds to; returns their names."""
    names = []
    for name, added, text in BLOCK.findall(guide.read_text()):
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_with(file.read_text(), text) if added else text)
        names.append(name)
    return names


def _with(app: str, addition: str) -> str:
    """`app.py` with the imports and the items of the lists that a guide adds."""
    *imports, assignment = ast.parse(addition).body
    assert isinstance(assignment, ast.Assign)
    assert isinstance(assignment.value, ast.Call)
    for keyword in assignment.value.keywords:
        assert isinstance(keyword.value, ast.List)
        items = ", ".join(ast.unparse(item) for item in keyword.value.elts[1:])
        app = app.replace(f"{keyword.arg}=[]", f"{keyword.arg}=[{items}]")
    lines = "\n".join(map(ast.unparse, imports))
    return app.replace("from service.engine", f"{lines}\nfrom service.engine", 1)
