"""Whether this process can do its work now."""

import asyncio

import psycopg

from service.database import connection_options
from service.realtime.engine import Engine

_CHECK_SECONDS = 2.0


class Readiness:
    """Checks on a connection of their own: a pool that is busy is at work, not out of order."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._check: asyncio.Task[str | None] | None = None

    async def failures(self) -> dict[str, str]:
        """What is not ready, and why; answers within two seconds."""
        found: dict[str, str] = {}
        if self._engine.connections.draining:
            found["draining"] = "this process is stopping"
        if not self._engine.broker.connected:
            found["broker"] = "not connected"
        if not self._engine.revocations.loaded:
            found["revocations"] = "not read yet"
        if (database := await self._database_failure()) is not None:
            found["database"] = database
        return found

    async def _database_failure(self) -> str | None:
        if self._check is None or self._check.done():  # those who ask at the same time share one check
            self._check = asyncio.create_task(_try_database(self._engine.database.url))
        return await asyncio.shield(self._check)


async def _try_database(url: str) -> str | None:
    try:
        async with (
            asyncio.timeout(_CHECK_SECONDS * 0.9),
            await psycopg.AsyncConnection.connect(url, autocommit=True, **connection_options(url)) as connection,
        ):
            await connection.execute("SELECT FROM streams LIMIT 1")
    except psycopg.errors.UndefinedTable:
        return "not migrated: run python -m service migrate"
    except (psycopg.Error, OSError) as error:
        return type(error).__name__
    except TimeoutError:
        return "no answer"
    return None
