"""Events by PostgreSQL's LISTEN and NOTIFY: they leave with the commit, in commit order, or not at all."""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from time import monotonic

import psycopg
import structlog
from psycopg import sql

from service.engine.foundation.backoff import Backoff
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.reporting import Trouble
from service.engine.storage.channels import TABLES, short
from service.engine.storage.connecting import connect
from service.engine.streams.broker import Receive

_PROBE_SECONDS = 5.0

_logger = structlog.get_logger(__name__)


_POOLED = "LISTEN works in a pooler's session mode alone: set VALKEY_URL, or let DATABASE_URL lead past the pooler"


class PostgresBroker:
    """One connection of its own, outside the pool, that listens to the topics with subscribers in this process."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        self._url = url
        self._metrics = metrics
        self._topics: dict[str, str] = {}
        """Channel → topic, of all that are listened to or about to be."""
        self._listen: set[str] = set()
        self._unlisten: set[str] = set()
        self._listening: asyncio.Future[None] | None = None
        self._work = asyncio.Event()
        self._connected = False
        self._tables = ""
        self._trouble = Trouble("broker_unavailable")

    @property
    def connected(self) -> bool:
        return self._connected

    def channel(self, topic: str) -> str | None:
        return short(topic)

    def publish(self, topic: str, payload: str) -> None:
        """Nothing is left to do: NOTIFY was part of the transaction."""

    async def signal(self, batch: Sequence[tuple[str, str]]) -> bool:  # noqa: ARG002
        """There are channels, so nothing goes this way."""
        return False

    def publishing(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def listen(self, topics: Iterable[str]) -> None:
        for topic in topics:
            channel = short(topic)
            self._topics[channel] = topic
            self._listen.add(channel)
            self._unlisten.discard(channel)
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_future()
        self._work.set()
        await asyncio.shield(self._listening)

    def forget(self, topic: str) -> None:
        channel = short(topic)
        if self._topics.pop(channel, None) is not None:
            self._listen.discard(channel)
            self._unlisten.add(channel)
            self._work.set()

    async def run(self, receive: Receive, resumed: Callable[[], None]) -> None:
        backoff = Backoff()
        while True:
            try:
                async with await connect(self._url, autocommit=True) as connection:
                    await self._look_at_server(connection)
                    self._listen = set(self._topics)
                    self._unlisten.clear()
                    await self._apply(connection)
                    self._set_connected(True)
                    self._trouble.over()
                    resumed()
                    backoff.reset()
                    await self._receive_all(connection, receive)
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._metrics.broker_reconnects.inc(self._connected)
                self._trouble.failed(error)
            finally:
                self._set_connected(False)
            await backoff.wait()

    async def _look_at_server(self, connection: psycopg.AsyncConnection) -> None:
        """Learn how its channels are named, and whether it is one to listen to."""
        self._tables = await _tables(connection)
        row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
        if row != (connection.pgconn.backend_pid,):
            _logger.error("listening_through_pooler", advice=_POOLED)

    async def _look_again(self, connection: psycopg.AsyncConnection) -> None:
        """Leave tables that a restore has replaced: events of the new ones are on other channels."""
        if await _tables(connection) != self._tables:
            raise psycopg.OperationalError("the tables have been replaced")

    async def _receive_all(self, connection: psycopg.AsyncConnection, receive: Receive) -> None:
        looked_at = monotonic()
        with self._readable(connection):
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PROBE_SECONDS):
                        await self._work.wait()
                if monotonic() - looked_at >= _PROBE_SECONDS:
                    async with asyncio.timeout(_PROBE_SECONDS):
                        await self._look_again(connection)
                    looked_at = monotonic()
                self._work.clear()
                await self._apply(connection)
                async for message in connection.notifies(timeout=0):
                    topic = self._topics.get(message.channel.removesuffix(self._tables))
                    if topic is not None:
                        await receive(topic, message.payload)

    @contextmanager
    def _readable(self, connection: psycopg.AsyncConnection) -> Iterator[None]:
        """Wake up when the connection has something to read, on a descriptor that psycopg does not use itself."""
        loop = asyncio.get_running_loop()
        descriptor = os.dup(connection.fileno())
        loop.add_reader(descriptor, self._work.set)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    async def _apply(self, connection: psycopg.AsyncConnection) -> None:
        """LISTEN and UNLISTEN all that was asked for since the last time, in one round trip."""
        listen, self._listen = self._listen, set()
        unlisten, self._unlisten = self._unlisten, set()
        listening, self._listening = self._listening, None
        commands = [
            *(sql.SQL("UNLISTEN {}").format(sql.Identifier(channel + self._tables)) for channel in unlisten),
            *(sql.SQL("LISTEN {}").format(sql.Identifier(channel + self._tables)) for channel in listen),
        ]
        try:
            if commands:
                await connection.execute(sql.SQL("; ").join(commands))
        except BaseException:
            self._listening = _joined(listening, self._listening)
            raise
        if listening is not None and not listening.done():
            listening.set_result(None)

    def _set_connected(self, connected: bool) -> None:
        self._connected = connected
        self._metrics.broker_connected.set(connected)


async def _tables(connection: psycopg.AsyncConnection) -> str:
    """What channels end with. Leaves a server that is a standby, since a failover: nothing is ever published there."""
    row = await (await connection.execute(f"SELECT pg_is_in_recovery(), {TABLES}".encode())).fetchone()
    if row is None or row[0]:
        raise psycopg.OperationalError("the server is a standby")
    return f"@{row[1]}"


def _joined(first: asyncio.Future[None] | None, second: asyncio.Future[None] | None) -> asyncio.Future[None] | None:
    """One future for those who wait for either: the first, which then also completes the second."""
    if first is None or second is None:
        return first or second

    def complete(done: asyncio.Future[None]) -> None:
        if not done.cancelled() and not second.done():
            second.set_result(None)

    first.add_done_callback(complete)
    return first
