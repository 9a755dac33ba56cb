"""One look at all connections, four times a second: no task or timer for each, and none is forgotten."""

import asyncio
from collections.abc import Callable
from time import monotonic, time

from service.engine.foundation import endings
from service.engine.foundation.metrics import Metrics
from service.engine.link.heartbeat import Heartbeat
from service.engine.process.connections import Connections, OpenConnection

_SECONDS = 0.25
_LATE_SECONDS = 0.5
"""From how late a look on it was this process that was silent, so no client is judged."""
_LOOKS_PER_CENSUS = 20


Report = Callable[[float, float, int], None]
"""Told a few times a second the monotonic time, how late the event loop is, and the number of connections."""


class Sweep:
    """Ends connections whose client is gone or whose token has expired, and keeps the metrics up to date."""

    def __init__(self, connections: Connections, heartbeat: Heartbeat, metrics: Metrics, report: Report) -> None:
        self._connections = connections
        self._heartbeat = heartbeat
        self._metrics = metrics
        self._report = report

    async def run(self) -> None:
        looks = 0
        while True:
            due = monotonic() + _SECONDS
            await asyncio.sleep(_SECONDS)
            now = monotonic()
            if now - due < _LATE_SECONDS:
                self._look_at_all(now, time())
            self._metrics.event_loop_lag.observe(now - due)
            self._metrics.connections.set(len(self._connections))
            self._metrics.flush()
            self._report(now, now - due, len(self._connections))
            looks += 1
            if looks % _LOOKS_PER_CENSUS == 0:
                waiting = sum(connection.link.buffered() for connection in self._connections)
                self._metrics.outbox_bytes.set(waiting)

    def _look_at_all(self, now: float, wall_clock: float) -> None:
        for connection in self._connections:
            if now >= connection.liveness.look_at:
                self._look_at(connection, now, wall_clock)

    def _look_at(self, connection: OpenConnection, now: float, wall_clock: float) -> None:
        principal = connection.principal
        valid_for = principal.expires_at - wall_clock if principal else float("inf")
        if valid_for <= 0:
            connection.close(endings.TOKEN_EXPIRED)
        if connection.overloaded:  # a ping may still find the link dead
            connection.link.ping()
            connection.liveness.forgive(now)
        look_at = self._heartbeat.next_look(
            connection.liveness, connection.link, now, answers_pings=connection.answers_pings
        )
        if look_at is None:
            connection.give_up()
            look_at = float("inf")
        connection.liveness.look_at = min(look_at, now + max(valid_for, _SECONDS))
