"""Whether this process can do its work now."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from sqlalchemy import Table, text

from service.engine.foundation.problems import Unavailable
from service.engine.process.runtime import Runtime
from service.engine.storage.connecting import connect
from service.engine.storage.rows import Model
from service.engine.storage.tables import EngineModel

_CHECK_SECONDS = 2.0
_MISSING = """
    SELECT CASE WHEN to_regclass(home) IS NULL THEN home ELSE home || '.' || name END
    FROM unnest(%s::text[], %s::text[]) AS columns (home, name)
    WHERE NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = to_regclass(home) AND attname = name AND NOT attisdropped
    ) LIMIT 1
"""
_FORBIDDEN = """
    SELECT wanted || ' on ' || home FROM unnest(%s::text[], %s::text[]) AS rights (home, wanted)
    WHERE NOT has_table_privilege(to_regclass(home), wanted) LIMIT 1
"""
_RIGHTS_ON_ROWS = "SELECT INSERT"
_READ_ONLY = "SELECT current_setting('transaction_read_only')"


class Readiness:
    """Checks on a connection of their own: a pool that is busy is at work, not out of order."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._check: asyncio.Task[str | None] | None = None

    async def failures(self) -> dict[str, str]:
        """What is not ready, and why; answers within two seconds."""
        found: dict[str, str] = {}
        if self._runtime.connections.draining:
            found["draining"] = "this process is stopping"
        if not self._runtime.broker.connected:
            found["broker"] = "not connected"
        if not self._runtime.revocations.loaded:
            found["revocations"] = "not read yet"
        if (database := await self._database_failure()) is not None:
            found["database"] = database
        return found

    async def _database_failure(self) -> str | None:
        if self._check is None or self._check.done():  # those who ask at the same time share one check
            self._check = asyncio.create_task(self._try_database())
        return await asyncio.shield(self._check)

    async def _try_database(self) -> str | None:
        try:
            async with asyncio.timeout(_CHECK_SECONDS * 0.9):
                try:
                    async with await connect(self._runtime.database.url, autocommit=True) as connection:
                        return await self._look(connection)
                except (psycopg.Error, OSError) as error:
                    return None if await self._pool_works() else type(error).__name__
        except TimeoutError:
            return "no answer"

    async def _look(self, connection: psycopg.AsyncConnection) -> str | None:
        if await _first(connection, _READ_ONLY) == "on":
            return "read-only: no write would work"
        engines, streams = EngineModel.metadata.tables.values(), self._runtime.streams.declared
        needed = [*engines, *(stream.table for stream in streams), *Model.metadata.tables.values()]
        if missing := await _first(connection, _MISSING, *_columns(needed)):
            return f"not migrated, {missing} is missing: run python -m service migrate"
        rights = [(model.local_table, model.class_.rights) for model in EngineModel.registry.mappers]
        rights += [(stream.table, _RIGHTS_ON_ROWS) for stream in streams]
        if forbidden := await _first(connection, _FORBIDDEN, *_each_right(rights)):
            return f"no right to {forbidden}"
        return None

    async def _pool_works(self) -> bool:
        """Whether a server that takes no more connections, of whomever, answers on those that we have."""
        asked = asyncio.ensure_future(self._runtime.database.execute(text(_READ_ONLY)))
        with suppress(Unavailable):
            (row,) = await asyncio.shield(asked)  # a cancellation inside SQLAlchemy would cost the pool a connection
            return bool(row["current_setting"] == "off")
        return False


async def _first(connection: psycopg.AsyncConnection, query: str, *parameters: Sequence[str]) -> str | None:
    row = await (await connection.execute(query.encode(), parameters)).fetchone()
    return None if row is None else str(row[0])


def _columns(tables: Iterable[Table]) -> tuple[Sequence[str], Sequence[str]]:
    """Every column of the tables: the names of its table and its own."""
    pairs = [(_name(table), column.name) for table in tables for column in table.columns]
    return [table for table, _ in pairs], [column for _, column in pairs]


def _each_right(rights: Iterable[tuple[Any, str]]) -> tuple[Sequence[str], Sequence[str]]:
    """Every right on the tables: the names of its table and its own."""
    pairs = [(_name(table), right) for table, several in rights for right in several.split()]
    return [table for table, _ in pairs], [right for _, right in pairs]


def _name(table: Table) -> str:
    """As SQL names it."""
    return psycopg.sql.Identifier(*filter(None, (table.schema, table.name))).as_string()
