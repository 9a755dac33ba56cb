"""PostgreSQL: one operation, one connection from the pool, one transaction. Nothing else reaches it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

import psycopg
from psycopg.errors import InsufficientPrivilege, UndefinedTable
from pydantic_core import to_json
from sqlalchemy import Executable, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from service.engine.foundation.cancellation import uninterrupted
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Problem, Unavailable
from service.engine.foundation.reporting import Trouble
from service.engine.foundation.settings import Settings
from service.engine.storage.connecting import connect, only_reads

Row = Mapping[Any, Any]
Session = AsyncSession
"""What `database.session()` gives, for the signatures of an application's own functions."""

_OUTAGES = (OperationalError, InterfaceError, InternalError, PoolTimeoutError, OSError)

_WHY = {"22001": "a text is too long", "22003": "a number is too large"} | dict.fromkeys(
    ("22021", "22P05"), "a character is not one of its encoding"
)
"""What the database cannot hold, by SQLSTATE. Its own words could repeat what a client said."""
_ENVIRONMENT = (UndefinedTable, InsufficientPrivilege)
"""What whoever deploys has yet to do: no bug, and over when it is done."""
_GOING_DOWN = {"57P01", "57P02", "57P03"}
_NOT_BEGUN = {"25006", "26000", "42P05"}
"""SQLSTATEs of statements that this connection's server did not begin, and another may: it only reads, or a pooler has
changed it, with what was prepared there."""
_REPLANNING = "RevalidateCachedQuery"
"""Where PostgreSQL finds that a migration has changed what a prepared statement returns."""


def _may_work_elsewhere(error: object) -> bool:
    """Whether a statement was not begun, for a reason that another connection need not have."""
    if not isinstance(error, psycopg.Error):
        return False
    return error.sqlstate in _NOT_BEGUN or error.diag.source_function == _REPLANNING


def _leave_lost_servers(context: ExceptionContext) -> None:
    """Keep no connection of one in a failover: SQLAlchemy drops all that the pool has on a disconnect."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) in _GOING_DOWN or _may_work_elsewhere(error):
        context.is_disconnect = True


def _keep_none_that_only_reads(connection: Any, record: ConnectionPoolEntry) -> None:
    """Or the first writes after a failover would get it."""
    if connection is not None and only_reads(connection.driver_connection):
        record.invalidate(soft=True)


def _as_json(value: Any) -> str:
    return to_json(value).decode()


class Database:
    """The pool of this process."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        assert settings.database_url is not None
        self.url = settings.database_url.get_secret_value()
        self._metrics = metrics
        self._trouble = Trouble("database_unavailable")
        self._engine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=partial(connect, self.url),
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_timeout,
            pool_recycle=1800,
            hide_parameters=True,
            json_serializer=_as_json,
        )
        event.listen(self._engine.sync_engine, "handle_error", _leave_lost_servers)
        event.listen(self._engine.sync_engine, "checkin", _keep_none_that_only_reads)
        self.dialect = self._engine.dialect
        self.dialect.subject_type = settings.jwt_subject_type  # type: ignore[attr-defined] # for `UserIdText`
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session for one operation: committed at the end of the block, rolled back if the block raises.

        A client that leaves does not interrupt it: a cancellation inside SQLAlchemy would cost the pool a connection.
        So keep the block short, and wait for nothing but the database in it.

        Raises:
            Unavailable: The database or a connection from the pool is not to be had; nothing was stored.
        """
        async with uninterrupted():
            with self._operation():
                async with self._sessions() as session:
                    yield session
                    await session.commit()
            for callback in session.info.pop("after_commit", ()):
                callback()

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """Run one statement that is a whole operation: one round trip, where a transaction around it takes three.

        Raises:
            Unavailable: The database or a connection from the pool is not to be had; nothing was stored.
        """
        async with uninterrupted():
            with self._operation():
                try:
                    return await self._execute(statement, parameters)
                except DBAPIError as error:
                    if not _may_work_elsewhere(error.orig):
                        raise
                    return await self._execute(statement, parameters)

    async def _execute(self, statement: Executable, parameters: Mapping[str, Any] | None) -> Sequence[Row]:
        async with self._autocommit.connect() as connection:
            result = await connection.execute(statement, parameters)
            return [*result.mappings()] if result.returns_rows else []

    @contextmanager
    def _operation(self) -> Any:
        """Measured, and with one error for every way not to answer."""
        try:
            with self._metrics.database.time():
                yield
            self._trouble.over()
        except DataError as error:
            raise Problem.cannot_be_stored(
                _WHY.get(getattr(error.orig, "sqlstate", ""), "a value does not fit")
            ) from error
        except (*_OUTAGES, DBAPIError) as error:
            known = isinstance(error, _OUTAGES) or error.connection_invalidated or isinstance(error.orig, _ENVIRONMENT)
            if not known:
                raise
            self._metrics.database_unavailable.inc()
            self._trouble.failed(getattr(error, "orig", None) or error)
            raise Unavailable from error

    def after_commit(self, session: AsyncSession, callback: Callable[[], None]) -> None:
        """Call `callback` once a `session` of this database has committed; never if it does not."""
        cast(list[Any], session.info.setdefault("after_commit", [])).append(callback)
