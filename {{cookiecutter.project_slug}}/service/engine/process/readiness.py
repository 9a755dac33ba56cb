"""Whether this process can do its work now."""

import asyncio

import psycopg

from service.engine.process.runtime import Runtime
from service.engine.storage.connecting import connect
from service.engine.storage.rows import Model
from service.engine.storage.tables import EngineModel

_CHECK_SECONDS = 2.0
_MISSING = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL LIMIT 1"
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
            self._check = asyncio.create_task(_try_database(self._runtime.database.url))
        return await asyncio.shield(self._check)


async def _try_database(url: str) -> str | None:
    try:
        async with (
            asyncio.timeout(_CHECK_SECONDS * 0.9),
            await connect(url, autocommit=True) as connection,
        ):
            read_only = await (await connection.execute(_READ_ONLY)).fetchone()
            missing = await (await connection.execute(_MISSING, [_tables()])).fetchone()
    except (psycopg.Error, OSError) as error:
        return type(error).__name__
    except TimeoutError:
        return "no answer"
    if read_only == ("on",):
        return "read-only: no write would work"
    return None if missing is None else f"not migrated, {missing[0]} is missing: run python -m service migrate"


def _tables() -> list[str]:
    """Every table of the engine and of the application's models, as SQL names them."""
    quote = psycopg.sql.Identifier
    tables = [*EngineModel.metadata.tables.values(), *Model.metadata.tables.values()]
    return [quote(*filter(None, (table.schema, table.name))).as_string() for table in tables]
