"""What one process consists of, and the tasks that keep it going."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import structlog

from service.engine.auth.revocations import Revocations
from service.engine.auth.tickets import Tickets
from service.engine.auth.tokens import Tokens
from service.engine.delivery.hub import Hub
from service.engine.delivery.presence import Presence
from service.engine.delivery.signals import Signals
from service.engine.foundation import endings
from service.engine.foundation.backoff import Backoff
from service.engine.foundation.identity import user_of_request
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.operations import Around
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.settings import Settings
from service.engine.foundation.tasks import Tasks
from service.engine.link.heartbeat import Heartbeat
from service.engine.process.connections import Connections
from service.engine.process.drain import drain
from service.engine.process.sweep import Report, Sweep
from service.engine.storage.database import Database
from service.engine.streams.broker import Broker
from service.engine.streams.stream import Stream
from service.engine.streams.streams import DeclaredStreams

Work = Callable[[], Awaitable[None]]

_REVOCATIONS = "$revocations"
"""The topic on which processes tell each other that there are new ones; no stream can have this name."""
_REVOCATIONS_SECONDS = 2.0

_logger = structlog.get_logger(__name__)


class Runtime:
    """Connections, streams, hub and broker of one process."""

    def __init__(
        self,
        *,
        settings: Settings,
        metrics: Metrics,
        database: Database,
        broker: Broker,
        streams: Sequence[Stream[Any]],
        report: Report,
        around: Around | None,
    ) -> None:
        """Raises: DeclarationError."""
        self.settings = settings
        self.metrics = metrics
        self.database = database
        self.broker = broker
        self.around = around
        self.streams = DeclaredStreams(streams, database, broker, metrics, around)
        self.revocations = Revocations(database)
        self.tokens = Tokens(settings, self.revocations)
        self.tickets = Tickets(database, self.revocations, settings.jwt_subject_type)
        self.connections = Connections(settings)
        self.presence = Presence(database, broker, metrics)
        self.signals = Signals(database, broker, metrics)
        self.hub = Hub(self.streams, self.presence, metrics, around)
        self._revoked = asyncio.Event()
        heartbeat = Heartbeat(settings.heartbeat_interval, settings.heartbeat_timeout)
        self._sweep = Sweep(self.connections, heartbeat, metrics, report)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the process going while the block runs."""
        tasks = Tasks(lambda error: _logger.error("background_task_failed", exc_info=error))
        always: tuple[Work, ...] = (
            partial(self.broker.run, self._receive, self._resumed),
            self.hub.open_topics,
            self.hub.answer_positions,
            self.hub.reconcile_topics,
            self._follow_revocations,
            self._sweep.run,
        )
        for work in (*always, *self._work_that_is_declared()):
            tasks.start(_for_ever(work))
        try:
            yield
        finally:
            await self.hub.close()
            await tasks.ended()
            await self.tokens.close()
            self.metrics.flush()

    def _work_that_is_declared(self) -> Iterator[Work]:
        if any(stream.presence for stream in self.streams.declared):
            yield self.presence.run
        if any(stream.signals for stream in self.streams.declared):
            yield self.signals.run

    async def drain(self, seconds: float) -> None:
        await drain(self.connections, self.metrics, seconds)

    async def disconnect(self, user: str) -> None:
        """Close all connections of a user, on every process, and refuse the tokens and tickets issued up to now.

        Raises:
            Problem: `invalid_request`, there can be no such user; `unavailable`.
        """
        subject = user_of_request(user, self.settings.jwt_subject_type)
        await self.revocations.revoke(subject, self.broker.channel(_REVOCATIONS))
        self.broker.publish(_REVOCATIONS, "")
        await self.revocations.load()

    async def _receive(self, topic: str, payload: str) -> None:
        if topic == _REVOCATIONS:
            self._revoked.set()
        else:
            await self.hub.receive(topic, payload)

    def _resumed(self) -> None:
        self._revoked.set()
        self.hub.resumed()

    async def _follow_revocations(self) -> None:
        """Close what was revoked, as soon as the broker says so; look every few seconds in case it could not."""
        listening = asyncio.create_task(self.broker.listen([_REVOCATIONS]))
        try:
            while True:
                with suppress(Unavailable):
                    await self.revocations.load()
                    for connection in self.connections:
                        if connection.principal and self.revocations.covers(connection.principal):
                            connection.close(endings.REVOKED)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_REVOCATIONS_SECONDS):
                        await self._revoked.wait()
                self._revoked.clear()
        finally:
            listening.cancel()


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` again after a bug ended it: the process without it would look healthy and be dead."""
    backoff = Backoff()
    while True:
        try:
            await work()
        except Exception:
            _logger.exception("background_task_failed")
        await backoff.wait()
