"""Events by PostgreSQL's LISTEN and NOTIFY: they leave with the commit, in commit order, or not at all."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import psycopg
import structlog
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from service.database import connection_options
from service.observability.metrics import Metrics
from service.realtime.backoff import Backoff
from service.realtime.broker import Receive

_LONGEST_CHANNEL = 63
"""PostgreSQL cuts longer identifiers off (NAMEDATALEN)."""
_PROBE_SECONDS = 5.0

_logger = structlog.get_logger(__name__)


def channel_of(topic: str) -> str:
    return topic if len(topic.encode()) <= _LONGEST_CHANNEL else hashlib.blake2s(topic.encode()).hexdigest()[:60]


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

    @property
    def connected(self) -> bool:
        return self._connected

    def channel(self, topic: str) -> str | None:
        return channel_of(topic)

    async def publish(self, topic: str, payload: str) -> None:
        """Nothing is left to do: NOTIFY was part of the transaction."""

    async def notify(self, session: AsyncSession, topic: str, payload: str) -> None:
        await session.execute(
            text("SELECT pg_notify(:channel, :payload)"), {"channel": channel_of(topic), "payload": payload}
        )

    async def listen(self, topics: Iterable[str]) -> None:
        for topic in topics:
            channel = channel_of(topic)
            self._topics[channel] = topic
            self._listen.add(channel)
            self._unlisten.discard(channel)
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_future()
        self._work.set()
        await asyncio.shield(self._listening)

    def forget(self, topic: str) -> None:
        channel = channel_of(topic)
        if self._topics.pop(channel, None) is not None:
            self._listen.discard(channel)
            self._unlisten.add(channel)
            self._work.set()

    async def run(self, receive: Receive, resumed: Callable[[], None]) -> None:
        backoff = Backoff()
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, **connection_options(self._url)
                ) as connection:
                    self._listen = set(self._topics)
                    self._unlisten.clear()
                    await self._apply(connection)
                    self._set_connected(True)
                    resumed()
                    backoff.reset()
                    await self._receive_all(connection, receive)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if self._connected:
                    self._metrics.broker_reconnects.inc()
                    _logger.warning("broker_lost", error=str(error))
            finally:
                self._set_connected(False)
            await backoff.wait()

    async def _receive_all(self, connection: psycopg.AsyncConnection, receive: Receive) -> None:
        with self._readable(connection):
            while True:
                try:
                    async with asyncio.timeout(_PROBE_SECONDS):
                        await self._work.wait()
                except TimeoutError:
                    async with asyncio.timeout(_PROBE_SECONDS):
                        await connection.execute("SELECT 1")
                self._work.clear()
                await self._apply(connection)
                async for message in connection.notifies(timeout=0):
                    topic = self._topics.get(message.channel)
                    if topic is not None:
                        receive(topic, message.payload)

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
            *(sql.SQL("UNLISTEN {}").format(sql.Identifier(channel)) for channel in unlisten),
            *(sql.SQL("LISTEN {}").format(sql.Identifier(channel)) for channel in listen),
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


def _joined(first: asyncio.Future[None] | None, second: asyncio.Future[None] | None) -> asyncio.Future[None] | None:
    """One future for those who wait for either: the first, which then also completes the second."""
    if first is None or second is None:
        return first or second

    def complete(done: asyncio.Future[None]) -> None:
        if not done.cancelled() and not second.done():
            second.set_result(None)

    first.add_done_callback(complete)
    return first
