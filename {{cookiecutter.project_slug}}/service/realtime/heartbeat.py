"""Finding out which clients are gone. One sweep over all connections does it, not a task or a timer each."""

from time import monotonic
from typing import Protocol

from service.realtime.frames import frame_of
from service.realtime.link import Link
from service.wire import Ping

_PING = frame_of(Ping())


class Pulse:
    """When a client was last heard, when it last sent a message, and since when it owes an answer (monotonic times)."""

    __slots__ = ("asked_at", "heard_at", "message_at", "pinged_at")

    def __init__(self) -> None:
        self.heard_at = self.message_at = monotonic()
        self.pinged_at = self.asked_at = 0.0

    def forgive(self, now: float) -> None:
        """Start anew: the silence was ours."""
        self.heard_at = self.message_at = now


class Living(Protocol):
    """What has a pulse."""

    pulse: Pulse
    link: Link

    @property
    def answers_pings(self) -> bool:
        """Whether its endpoint speaks the application's ping and pong next to the protocol's."""


class Heartbeat:
    """Asks after `interval` seconds of silence and gives up `timeout` seconds later. An interval of 0 never does."""

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout

    def is_dead(self, living: Living, now: float) -> bool:
        """Look at one client, ask it if it is time to, and tell whether it has not answered."""
        if not self._interval:
            return False
        pulse = living.pulse
        if now - pulse.heard_at >= self._interval:
            if pulse.pinged_at <= pulse.heard_at:
                pulse.pinged_at = now
                living.link.ping()
            elif living.link.can_ping and now - pulse.pinged_at >= self._timeout:
                return True
        if living.answers_pings and now - pulse.message_at >= self._interval:
            if pulse.asked_at <= pulse.message_at:
                pulse.asked_at = now
                living.link.write(_PING)
            elif now - pulse.asked_at >= self._timeout:
                return True
        return False
