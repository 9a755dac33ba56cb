"""PostgreSQL: one operation, one connection from the pool, one transaction. Nothing else reaches it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

from pydantic_core import to_json
from sqlalchemy import Executable, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from service.engine.foundation.cancellation import uninterrupted
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.reporting import Trouble
from service.engine.foundation.settings import Settings
from service.engine.storage.connecting import connect, only_reads
from service.engine.storage.failures import FAILURES, cause_of, is_of_connection, may_work_elsewhere, problem_of

Row = Mapping[Any, Any]
Session = AsyncSession
"""What `database.session()` gives, for the signatures of an application's own functions."""


def _leave_lost_servers(context: ExceptionContext) -> None:
    """SQLAlchemy drops every connection of the pool on a disconnect."""
    if is_of_connection(context.original_exception):
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
        self.subject_type = self.dialect.subject_type = settings.jwt_subject_type  # type: ignore[attr-defined] # for `UserIdText`
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
                    if not may_work_elsewhere(error.orig):
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
        except FAILURES as error:
            problem = problem_of(error)
            if problem is None:
                raise
            if isinstance(problem, Unavailable):
                self._metrics.database_unavailable.inc()
                self._trouble.failed(cause_of(error))
            raise problem from error

    def after_commit(self, session: AsyncSession, callback: Callable[[], None]) -> None:
        """Call `callback` once a `session` of this database has committed; never if it does not."""
        cast(list[Any], session.info.setdefault("after_commit", [])).append(callback)
