"""One look at all connections, four times a second: no task or timer for each, and none is forgotten."""

import asyncio
from time import monotonic, time

from service.observability.cloudwatch import CloudWatch
from service.observability.metrics import Metrics
from service.realtime.connections import Connections, Member
from service.realtime.heartbeat import Heartbeat

_SECONDS = 0.25
_LATE_SECONDS = 0.5
"""From how late a look on it was this process that was silent, so no client is judged."""
_LOOKS_PER_CENSUS = 20


class Sweep:
    """Ends connections whose client is gone or whose token has expired, and keeps the metrics up to date."""

    def __init__(
        self, connections: Connections, heartbeat: Heartbeat, metrics: Metrics, cloudwatch: CloudWatch
    ) -> None:
        self._connections = connections
        self._heartbeat = heartbeat
        self._metrics = metrics
        self._cloudwatch = cloudwatch

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
            self._cloudwatch.observe(now, now - due, len(self._connections))
            looks += 1
            if looks % _LOOKS_PER_CENSUS == 0:
                waiting = sum(connection.link.buffered() for connection in self._connections)
                self._metrics.outbox_bytes.set(waiting)

    def _look_at_all(self, now: float, wall_clock: float) -> None:
        for connection in self._connections:
            if now >= connection.pulse.look_at:
                self._look_at(connection, now, wall_clock)

    def _look_at(self, connection: Member, now: float, wall_clock: float) -> None:
        principal = connection.principal
        valid_for = principal.expires_at - wall_clock if principal else float("inf")
        if valid_for <= 0:
            connection.close(1008, "token expired")
        if connection.inbox.full:  # we do not read, so silence is no verdict; but a ping may still find the link dead
            connection.link.ping()
            connection.pulse.forgive(now)
        look_at = self._heartbeat.next_look(connection, now)
        if look_at is None:
            connection.give_up()
            look_at = float("inf")
        connection.pulse.look_at = min(look_at, now + max(valid_for, _SECONDS))
