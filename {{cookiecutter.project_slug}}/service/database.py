"""PostgreSQL: one operation, one connection from the pool, one transaction. Nothing else reaches it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import UndefinedTable
from sqlalchemy import Executable
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from service.cancellation import uninterrupted
from service.observability.metrics import Metrics
from service.problems import Unavailable
from service.settings import Settings

Row = Mapping[Any, Any]

_OUTAGES = (OperationalError, InterfaceError, InternalError, PoolTimeoutError, OSError)

_SESSION = "-c timezone=UTC -c statement_timeout=10s -c idle_in_transaction_session_timeout=10s"


def connection_options(url: str) -> dict[str, Any]:
    """How every connection is made: a server that vanished is noticed within 10 s, and no statement runs longer.

    The URL's own `options` are kept, and win.
    """
    return {
        "connect_timeout": 5,
        "application_name": "service",
        "options": f"{_SESSION} {conninfo_to_dict(url).get('options', '')}",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }


class Database:
    """The pool of this process."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        assert settings.database_url is not None
        self.url = settings.database_url.get_secret_value()
        self._metrics = metrics
        self._engine = create_async_engine(
            self.url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_timeout,
            pool_recycle=1800,
            hide_parameters=True,
            connect_args=connection_options(self.url),
        )
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
                await callback()

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """Run one statement that is a whole operation: one round trip, where a transaction around it takes three.

        Raises:
            Unavailable: The database or a connection from the pool is not to be had; nothing was stored.
        """
        async with uninterrupted():
            with self._operation():
                async with self._autocommit.connect() as connection:
                    result = await connection.execute(statement, parameters)
                    return [*result.mappings()] if result.returns_rows else []

    @contextmanager
    def _operation(self) -> Any:
        """Measured, and with one error for every way not to answer."""
        try:
            with self._metrics.database.time():
                yield
        except (*_OUTAGES, ProgrammingError) as error:
            if isinstance(error, ProgrammingError) and not isinstance(error.orig, UndefinedTable):
                raise
            self._metrics.database_unavailable.inc()
            raise Unavailable from error


def after_commit(session: AsyncSession, callback: Callable[[], Awaitable[None]]) -> None:
    """Await `callback` once the session has committed; never if it does not."""
    cast(list[Any], session.info.setdefault("after_commit", [])).append(callback)
