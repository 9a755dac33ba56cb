"""An application of a team's own that consists of migrations, for tests that write some."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.engine.kit.commands import PROJECT, SECRET_KEY, Commands
from tests.engine.kit.postgres import Database

TEMPLATE = PROJECT / "tests" / "engine" / "application" / "migrations" / "script.py.mako"
APPLICATION = '''
"""A team's application."""

from pathlib import Path

from service.engine.application.application import Application

application = Application(migrations=Path(__file__).parent / "migrations")
'''
MAIN = '''
"""Its commands."""

import sys

from service.engine.application.commands import main

sys.exit(main("{name}.app:application"))
'''
ENVIRONMENT = '''
"""Alembic's entry."""

from service.engine.application.migrate import run_migrations
from {name}.app import application

run_migrations(application)
'''
REVISION = '''
"""One step."""

from alembic import op

revision = "{revision}"
down_revision = {parent!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    {upgrade}
'''


class Team:
    """An application with migrations of its own, in a folder of its own."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.directory = directory
        self.package = directory / name
        self.versions = self.package / "migrations" / "versions"
        self.versions.mkdir(parents=True)
        (self.package / "__init__.py").touch()
        (self.package / "app.py").write_text(APPLICATION.lstrip())
        (self.package / "__main__.py").write_text(MAIN.format(name=name).lstrip())
        (self.package / "migrations" / "env.py").write_text(ENVIRONMENT.format(name=name).lstrip())
        shutil.copy(TEMPLATE, self.package / "migrations")

    def write(self, revision: str, parent: str | None, upgrade: str = "pass", *, file: str = "") -> Path:
        """Add a migration."""
        written = self.versions / f"{file or revision}.py"
        written.write_text(REVISION.format(revision=revision, parent=parent, upgrade=upgrade).lstrip())
        return written

    def migrate(self, database: Database) -> subprocess.CompletedProcess[str]:
        return Commands(self.name).run_here("migrate", DATABASE_URL=database.url, SECRET_KEY=SECRET_KEY)

    def succeeds(self, database: Database) -> str:
        """Migrate, and return what the command says."""
        migrated = self.migrate(database)
        assert (migrated.returncode, migrated.stderr) == (0, "")
        return migrated.stdout

    def refused(self, database: Database) -> str:
        """Migrate, and return the one line of the refusal."""
        refused = self.migrate(database)
        assert (refused.returncode, refused.stdout) == (2, "")
        (line,) = refused.stderr.splitlines()
        return line

    def succeeds_at_once(self, database: Database, times: int) -> None:
        """Migrate in several processes."""
        path = f"{self.directory}:{PROJECT}"

        def migrate(_: int) -> subprocess.CompletedProcess[str]:
            settings = {"DATABASE_URL": database.url, "SECRET_KEY": SECRET_KEY, "PYTHONPATH": path}
            return Commands(self.name).run("migrate", **settings)

        with ThreadPoolExecutor(times) as threads:
            migrations = list(threads.map(migrate, range(times)))
        assert [(each.returncode, each.stderr) for each in migrations] == [(0, "")] * times
