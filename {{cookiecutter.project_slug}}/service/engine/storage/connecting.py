"""How every connection to PostgreSQL is made, whatever the server, a pooler or the shell would have it be."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from socket import SHUT_RDWR, socket
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

_OPTIONS: Mapping[str, Any] = {
    "connect_timeout": 5,
    "application_name": "service",
    "client_encoding": "UTF8",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A server that vanished is noticed within 10 s."""

_SESSION: Mapping[str, str] = {
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "check_function_bodies": "on",
    "array_nulls": "on",
    "xmloption": "content",
    "row_security": "on",
}
"""What a server's configuration, a database, a role or PGOPTIONS may have otherwise. The URL's own `options` win."""
_MIGRATIONS: Mapping[str, str] = {**_SESSION, "statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
_SET = """
    SELECT set_config(name, wanted, false)
    FROM unnest(%s::text[], %s::text[]) AS ours (name, wanted) JOIN pg_settings USING (name)
    WHERE source <> 'client' OR NOT %s
"""
_PATIENCE = 15.0
"""Seconds without any answer: more than a statement may take, which only a server that lives can end."""
_FOR_EVER = 86_400.0
"""The patience of whoever has an address that says how long a statement may take."""
_PROCESS = "SELECT pg_backend_pid()"
_READ_ONLY = (b"in_hot_standby", b"default_transaction_read_only")

_OF_THE_SHELL: Mapping[str, str] = {"PGTZ": "UTC", "PGDATESTYLE": "ISO"}
"""libpq sends these to the server when a connection starts, and no option of a connection overrules them; sent so,
a pooler knows of them too (https://www.pgbouncer.org/config.html, `track_extra_parameters`)."""


def overrule_the_shell() -> None:
    """Let the environment of this process say what sessions need, where only the environment can."""
    os.environ.update(_OF_THE_SHELL)
    os.environ.pop("PGGEQO", None)


class BoundedConnection(psycopg.AsyncConnection[Any]):
    """One that is given up when its server does not answer, as with one that is frozen or whose pooler waits for it."""

    patience = 0.0

    async def wait(self, *arguments: Any, **options: Any) -> Any:
        timer = asyncio.get_running_loop().call_later(self.patience, _hang_up, self)
        try:
            return await super().wait(*arguments, **options)
        finally:
            timer.cancel()


def _hang_up(connection: psycopg.AsyncConnection) -> None:
    """Let whoever waits find the connection closed: a cancellation would wait for the server once more."""
    with socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(SHUT_RDWR)


async def connect(url: str, *, autocommit: bool = False) -> psycopg.AsyncConnection:
    """A connection whose session is as we need it.

    Raises:
        psycopg.Error: There is none to be had.
    """
    overrule_the_shell()
    connection = await BoundedConnection.connect(url, autocommit=True, **_options(url))
    connection.patience = _patience(url)
    try:
        if _is_another((await (await connection.execute(_PROCESS)).fetchone()), connection):
            connection.prepare_threshold = None  # the next statement may go to a server that has not prepared it
        else:
            await connection.execute(_SET, _wanted(_SESSION, url))
        await connection.set_autocommit(autocommit)
    except BaseException:
        await connection.close()
        raise
    return connection


def connect_for_migrations(url: str) -> psycopg.Connection:
    """A blocking connection without a limit on how long a statement takes; raises psycopg.Error."""
    overrule_the_shell()
    connection = psycopg.connect(url, autocommit=True, **_options(url))
    try:
        if is_pooled(connection):
            connection.prepare_threshold = None
        else:
            connection.execute(_SET, _wanted(_MIGRATIONS, url))
        connection.autocommit = False
    except BaseException:
        connection.close()
        raise
    return connection


def is_pooled(connection: psycopg.Connection) -> bool:
    """Whether a pooler such as PgBouncer is between: then sessions are shared, and nothing may be left in them."""
    return _is_another(connection.execute(_PROCESS).fetchone(), connection)


def only_reads(connection: psycopg.AsyncConnection) -> bool:
    """Whether the server has said so, which it does by itself since PostgreSQL 14: a standby, or one that is full."""
    if connection.closed or connection.prepare_threshold is None:  # a pooler says what it once heard
        return False
    return b"on" in map(connection.pgconn.parameter_status, _READ_ONLY)


def _is_another(process: Any, connection: psycopg.Connection | psycopg.AsyncConnection) -> bool:
    """Whether statements go to another process than the one that let us in."""
    return bool(process != (connection.pgconn.backend_pid,))


def _patience(url: str) -> float:
    return _FOR_EVER if "statement_timeout" in str(conninfo_to_dict(url).get("options")) else _PATIENCE


def _wanted(session: Mapping[str, str], url: str) -> Sequence[Any]:
    return [*session], [*session.values()], "options" in conninfo_to_dict(url)


def _options(url: str) -> dict[str, Any]:
    """Ours, but for those that the URL gives itself. Of several servers, the one that takes writes."""
    theirs = conninfo_to_dict(url)
    ours = {name: value for name, value in _OPTIONS.items() if name not in theirs or name == "client_encoding"}
    if "," in str(theirs.get("host")):
        ours["target_session_attrs"] = theirs.get("target_session_attrs", "primary")
    return ours
