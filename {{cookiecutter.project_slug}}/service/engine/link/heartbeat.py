"""Finding out which clients are gone."""

from time import monotonic
from typing import Any, Protocol

from service.engine.foundation.frames import frame_of
from service.engine.foundation.wire import Ping

_PING = frame_of(Ping())


class Liveness:
    """When a client was last heard, when it last sent a message, and since when it owes an answer (monotonic times)."""

    __slots__ = ("asked_at", "heard_at", "look_at", "message_at", "pinged_at")

    def __init__(self) -> None:
        self.heard_at = self.message_at = monotonic()
        self.pinged_at = self.asked_at = 0.0
        self.look_at = 0.0
        """Before this time there is nothing to look for."""

    def forgive(self, now: float) -> None:
        """Start anew: the silence was ours."""
        self.heard_at = self.message_at = now


class Outlet(Protocol):
    """A link, as far as the heartbeat uses it."""

    @property
    def can_ping(self) -> bool:
        """Whether `ping` does anything."""

    def ping(self) -> None:
        """Ask for a sign of life, below the application's messages."""

    def write(self, encoded: Any) -> None:
        """Send a message in the form that the link sends."""

    def buffered(self) -> int:
        """Bytes waiting to be sent."""


class Heartbeat:
    """Asks after `interval` seconds of silence and gives up `timeout` seconds later. An interval of 0 never does."""

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval or float("inf")
        self._timeout = timeout

    def next_look(self, liveness: Liveness, link: Outlet, now: float, *, answers_pings: bool) -> float | None:
        """Ask a client if it is time to. Returns when to look at it again, or None if it has not answered in time.

        `answers_pings`: whether its endpoint speaks the application's ping and pong next to the protocol's.
        """
        if now >= liveness.heard_at + self._interval and liveness.pinged_at <= liveness.heard_at:
            liveness.pinged_at = now
            link.ping()
        deadline = self._deadline(liveness.heard_at, liveness.pinged_at) if link.can_ping else float("inf")
        if answers_pings:
            if now >= liveness.message_at + self._interval and liveness.asked_at <= liveness.message_at:
                liveness.asked_at = now
                link.write(_PING)
            deadline = min(deadline, self._deadline(liveness.message_at, liveness.asked_at))
        return min(deadline, now + self._interval) if now < deadline else None

    def _deadline(self, heard_at: float, asked_at: float) -> float:
        """When to look again: at the time to ask, or if we have asked at the end of our patience."""
        return asked_at + self._timeout if asked_at > heard_at else heard_at + self._interval
