"""Bringing a database up to date: first the engine's branch, then the application's, each with a version table."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any, Literal, cast

import psycopg
from alembic import command, context
from alembic.autogenerate.api import AutogenContext
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from service.engine.application.application import Application
from service.engine.application.development import development_settings
from service.engine.foundation.settings import Settings, load_settings
from service.engine.storage import migrations
from service.engine.storage.connecting import connect_for_migrations, is_pooled
from service.engine.storage.rows import Model, UserIdText
from service.engine.storage.service_user import ServiceUserError, let_in

_ENGINES = Path(migrations.__file__).parent
_OLDEST_SERVER = (13,)
_RECORD = text("""
    INSERT INTO applied_revisions (branch, revision) VALUES (:branch, :revision) ON CONFLICT DO NOTHING
""")
_RECORDED = text("SELECT revision FROM applied_revisions WHERE branch = :branch")
_ELSEWHERE = text("""
    SELECT relname, relnamespace::regnamespace::text, current_schema() FROM pg_class
    WHERE oid IN (to_regclass('engine_version'), to_regclass('alembic_version'))
    AND relnamespace <> quote_ident(current_schema())::regnamespace
""")
_TRY_LOCK = text("SELECT pg_try_advisory_lock(:lock)")
_LOOK_AGAIN_SECONDS = 0.1
_LOCK = 0x6C697665
"""The advisory lock that keeps two migrations of one database apart (any number, the same everywhere)."""


class MigrationError(Exception):
    """The database cannot be brought up to date. The message is one line."""


def migrate(application: Application, settings: Settings) -> list[str]:
    """Bring the schema up to date. Safe to run twice, and by several processes at once.

    Returns:
        What an operator should know of it: that the schema is newer than this version, say.

    Raises:
        MigrationError: It is a database that cannot work, or has a history that is none of ours.
    """
    with _connection(settings) as connection, _alone(connection):
        _check_server(connection)
        remarks = [_upgrade(Branch("engine", _ENGINES, "engine_version"), connection)]
        if application.migrations is not None:
            remarks.append(_upgrade(Branch("application", application.migrations, "alembic_version"), connection))
        _let_service_in(settings, connection)
    return [remark for remark in remarks if remark]


def run_migrations(application: Application) -> None:
    """What an application's `env.py` does: on the connection of `migrate`, or on its own for the `alembic` command."""
    given: Connection | None = context.config.attributes.get("connection")
    if given is not None:
        _run(given)
    else:
        with _connection(load_settings(application.settings)) as connection:
            _run(connection)


def _run(connection: Connection) -> None:
    """Tables that no model of the application describes are somebody else's: the engine's, or a neighbour's."""
    metadata = Model.metadata
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        include_name=lambda name, kind, _parents: kind != "table" or name in metadata.tables,
        render_item=_rendered,
    )
    with context.begin_transaction():
        context.run_migrations()


def _rendered(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write a type of the engine's as what it is in the database: a migration outlives the code."""
    return f"sa.{item.impl_instance!r}" if kind == "type" and isinstance(item, UserIdText) else False


@dataclass(frozen=True)
class Branch:
    """A history of migrations: where it is written, and the table that says how far a database has come."""

    name: str
    directory: Path
    version_table: str


def _check_server(connection: Connection) -> None:
    """Refuse a server that cannot work, and tables that a neighbour has in a schema which is looked through too."""
    if connection.dialect.server_version_info < _OLDEST_SERVER:  # type: ignore[operator]
        raise MigrationError(f"PostgreSQL {_OLDEST_SERVER[0]} or later is needed")
    for table, theirs, ours in connection.execute(_ELSEWHERE):
        raise MigrationError(
            f"{table} is in the schema {theirs}, and new tables would be made in {ours}: let DATABASE_URL name the one"
            f" that is meant, such as options=-csearch_path%3D{ours}"
        )


def _upgrade(branch: Branch, connection: Connection) -> str | None:
    config = Config(attributes={"configure_logger": False, "connection": connection})
    config.set_main_option("script_location", str(branch.directory).replace("%", "%%"))
    try:
        script = ScriptDirectory.from_config(config)
        here, heads = _revisions(script), sorted(script.get_heads())
        there = MigrationContext.configure(connection, opts={"version_table": branch.version_table}).get_current_heads()
        if unknown := set(there) - here:
            if unknown.union(heads) <= _recorded(branch, connection):
                return f"the {branch.name}'s schema is newer than this version, nothing to do"
            where = f"{branch.directory.name}/"
            raise MigrationError(f"the database has the revision {min(unknown)}, which is not in {where}")
        if len(heads) > 1:
            raise MigrationError(f"{' and '.join(heads)} both come last in {branch.directory.name}/: merge them")
        connection.rollback()
        command.upgrade(config, "head")
    except (CommandError, UserWarning) as error:
        raise MigrationError(" ".join(str(error).split())) from None
    if here:
        connection.execute(_RECORD, [{"branch": branch.name, "revision": revision} for revision in here])
    connection.commit()
    return None


def _revisions(script: ScriptDirectory) -> set[str]:
    """All that are written; of two with one name Alembic would take either, with no more than a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Revision .* (is present more than once|is not present)", UserWarning)
        return {revision.revision for revision in script.walk_revisions()}


def _recorded(branch: Branch, connection: Connection) -> set[str]:
    """Every revision that a version of this service has brought the database to, or past."""
    if not inspect(connection).has_table("applied_revisions"):
        return set()
    return set(connection.execute(_RECORDED, {"branch": branch.name}).scalars())


def _let_service_in(settings: Settings, connection: Connection) -> None:
    """Each time, because each time there may be new tables, or a new password."""
    if settings.database_service_user is None:
        return
    password = settings.database_service_password
    connection.rollback()
    try:
        let_in(connection, settings.database_service_user, None if password is None else password.get_secret_value())
    except ServiceUserError as error:
        raise MigrationError(str(error)) from None


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Keep two migrations of one database apart, for as long as they take."""
    server = cast(psycopg.Connection, connection.connection.driver_connection)
    if is_pooled(server):  # its sessions are shared, so the most there is to have is one transaction after the other
        event.listen(connection, "begin", lambda _: server.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK]))
        yield
        return
    while not connection.execute(_TRY_LOCK, {"lock": _LOCK}).scalar():
        connection.rollback()  # who waits inside a statement would be waited for by CREATE INDEX CONCURRENTLY
        sleep(_LOOK_AGAIN_SECONDS)
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        connection.commit()


@contextmanager
def _connection(settings: Settings) -> Iterator[Connection]:
    """A connection to `DATABASE_URL`, which in development may be the embedded server's."""
    with development_settings(settings) as complete:
        assert complete.database_url is not None
        url = complete.database_url.get_secret_value()
        creator = partial(connect_for_migrations, url)
        engine = create_engine("postgresql+psycopg://", poolclass=NullPool, creator=creator)
        with engine.connect() as connection:
            yield connection
