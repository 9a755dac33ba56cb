"""The engine of one process: what it consists of, and the tasks that keep it going."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic, time

import structlog

from service.auth.tokens import Tokens
from service.database import Database
from service.observability.metrics import Metrics
from service.realtime.backoff import Backoff
from service.realtime.broker import Broker
from service.realtime.connections import Connections
from service.realtime.drain import drain
from service.realtime.heartbeat import Heartbeat
from service.realtime.hub import Hub
from service.realtime.streams import read_positions
from service.settings import Settings

_SWEEP_SECONDS = 0.25
_LATE_SECONDS = 0.5
"""From how late a sweep on it was this process that was silent, so no client is judged."""

_logger = structlog.get_logger(__name__)


class Engine:
    """Connections, hub and broker of one process."""

    def __init__(
        self, settings: Settings, metrics: Metrics, database: Database, broker: Broker, tokens: Tokens
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.tokens = tokens
        self.database = database
        self.broker = broker
        self.connections = Connections(settings)
        self.hub = Hub(broker, partial(read_positions, database), metrics)
        self._heartbeat = Heartbeat(settings.heartbeat_interval, settings.heartbeat_timeout)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the engine going while the block runs."""
        tasks = [
            asyncio.create_task(_for_ever(work))
            for work in (
                partial(self.broker.run, self.hub.receive, self.hub.resumed),
                self.hub.open_topics,
                self.hub.reconcile_topics,
                self._sweep,
            )
        ]
        try:
            yield
        finally:
            self.hub.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def drain(self, seconds: float) -> None:
        await drain(self.connections, self.metrics, seconds)

    async def _sweep(self) -> None:
        """Look at every connection four times a second: is it alive, and is its token still valid?"""
        while True:
            due = monotonic() + _SWEEP_SECONDS
            await asyncio.sleep(_SWEEP_SECONDS)
            now = monotonic()
            self.metrics.event_loop_lag.observe(now - due)
            self.metrics.flush()
            self._look_at_all(now, wall_clock=time(), judge=now - due < _LATE_SECONDS)

    def _look_at_all(self, now: float, wall_clock: float, *, judge: bool) -> None:
        waiting = 0
        for connection in self.connections:
            principal = connection.principal
            if principal is not None and principal.expires_at <= wall_clock:
                connection.close(1008, "token expired")
            if connection.inbox.full:
                connection.pulse.forgive(now)
            elif judge and self._heartbeat.is_dead(connection, now):
                connection.give_up()
            if connection.link.congested:
                waiting += connection.link.buffered()
        self.metrics.connections.set(len(self.connections))
        self.metrics.outbox_bytes.set(waiting)


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` again after a bug ended it: the process without it would look healthy and be dead."""
    backoff = Backoff()
    while True:
        try:
            await work()
        except Exception:
            _logger.exception("background_task_failed")
        await backoff.wait()
