"""The engine of one process: what it consists of, and the tasks that keep it going."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog

from service.auth.principal import user_id
from service.auth.revocations import Revocations
from service.auth.tickets import Tickets
from service.auth.tokens import Tokens
from service.database import Database
from service.observability.cloudwatch import CloudWatch
from service.observability.metrics import Metrics
from service.problems import Problem, Unavailable
from service.realtime.backoff import Backoff
from service.realtime.broker import Broker
from service.realtime.connections import Connections
from service.realtime.drain import drain
from service.realtime.heartbeat import Heartbeat
from service.realtime.hub import Hub
from service.realtime.streams import read_positions
from service.realtime.sweep import Sweep
from service.settings import Settings

_REVOCATIONS = "revocations"
"""The topic on which processes tell each other that there are new ones."""
_REVOCATIONS_SECONDS = 2.0
_CANCEL_SECONDS = 0.5

_logger = structlog.get_logger(__name__)


class Engine:
    """Connections, hub and broker of one process."""

    def __init__(self, settings: Settings, metrics: Metrics, database: Database, broker: Broker) -> None:
        self.settings = settings
        self.metrics = metrics
        self.database = database
        self.revocations = Revocations(database)
        self.tokens = Tokens(settings, self.revocations)
        self.tickets = Tickets(database, self.revocations, settings.jwt_subject_type)
        self.broker = broker
        self.connections = Connections(settings)
        self.hub = Hub(broker, partial(read_positions, database), metrics)
        self._revoked = asyncio.Event()
        heartbeat = Heartbeat(settings.heartbeat_interval, settings.heartbeat_timeout)
        self._sweep = Sweep(self.connections, heartbeat, metrics, CloudWatch(settings, metrics))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the engine going while the block runs."""
        tasks = {
            asyncio.create_task(_for_ever(work))
            for work in (
                partial(self.broker.run, self._receive, self._resumed),
                self.hub.open_topics,
                self.hub.answer_positions,
                self.hub.reconcile_topics,
                self._follow_revocations,
                self._sweep.run,
            )
        }
        try:
            yield
        finally:
            self.hub.close()
            while tasks:  # a library may lose a cancellation before Python 3.12 (cpython issue 86296)
                for task in tasks:
                    task.cancel()
                _, tasks = await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)

    async def drain(self, seconds: float) -> None:
        await drain(self.connections, self.metrics, seconds)

    async def disconnect(self, user: str) -> None:
        """Close all connections of a user, on every process, and refuse the tokens and tickets issued up to now.

        Raises:
            Problem: `invalid_request`, there can be no such user; `unavailable`.
        """
        try:
            subject = user_id(user, self.settings.jwt_subject_type)
        except ValueError as error:
            raise Problem("invalid_request", f"user_id: {error}", status=422) from None
        await self.revocations.revoke(subject, self.broker.channel(_REVOCATIONS))
        await self.broker.publish(_REVOCATIONS, "")
        await self.revocations.load()

    def _receive(self, topic: str, payload: str) -> None:
        if topic == _REVOCATIONS:
            self._revoked.set()
            return
        try:
            self.hub.receive(topic, payload)
        except Exception as error:  # the topic finds the gap and reads its table; the others must not wait for that
            self.metrics.unreadable_events.inc()
            _logger.error("event_unreadable", topic=topic, error=type(error).__name__)  # noqa: TRY400 - it would show data

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
                            connection.close(1008, "revoked")
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
