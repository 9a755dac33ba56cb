"""What is measured, handed to Locust: times in milliseconds, and failures by their reason."""

import time
import uuid
from pathlib import Path

from locust.env import Environment

NEVER = {"lost", "doubled", "out of order"}
"""Of these, one is too many, whatever share of failures a scenario is allowed."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MACHINE = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else str(uuid.getnode())
_MOST_WATCHED = 1000


class Measures:
    """The statistics of one kind of client: each measure is a line `WS  <kind> <measure>` in Locust's tables."""

    def __init__(self, environment: Environment, kind: str) -> None:
        self._environment = environment
        self._kind = kind

    def took(self, measure: str, seconds: float) -> None:
        """Something went well and took this long."""
        self._fire(measure, seconds, None)

    def failed(self, measure: str, reason: str, seconds: float = 0) -> None:
        """Something went wrong; Locust counts failures by their reason."""
        self._fire(measure, seconds, reason)

    def _fire(self, measure: str, seconds: float, failure: str | None) -> None:
        self._environment.events.request.fire(
            request_type="WS",
            name=f"{self._kind} {measure}",
            response_time=seconds * 1000,
            response_length=0,
            exception=failure,
            context={},
        )


def stamp() -> str:
    """The time on this machine's monotonic clock, which all its processes share, to travel in a message."""
    return f"{_MACHINE} {time.monotonic():.6f}"


def age(text: str) -> float | None:
    """Seconds since the stamp a text begins with was made; None for another machine's, whose clock is another one."""
    machine, moment, *_ = text.split(" ")
    return time.monotonic() - float(moment) if machine == _MACHINE else None


class LastSubscriber:
    """How long an event takes to the last of its subscribers in this process."""

    def __init__(self) -> None:
        self._subscribers: dict[str, int] = {}
        self._waiting: dict[tuple[str, int], tuple[int, float]] = {}

    def joined(self, stream: str) -> None:
        """A subscriber is live."""
        self._subscribers[stream] = self._subscribers.get(stream, 0) + 1

    def left(self, stream: str) -> None:
        """A subscriber is not live any more."""
        self._subscribers[stream] -= 1

    def received(self, stream: str, seq: int, seconds: float) -> float | None:
        """Note one delivery; returns the longest one's time when this was the last."""
        left, longest = self._waiting.pop((stream, seq), (self._subscribers.get(stream, 0), 0.0))
        longest = max(longest, seconds)
        if left <= 1:
            return longest
        self._waiting[stream, seq] = (left - 1, longest)
        if len(self._waiting) > _MOST_WATCHED:  # a subscriber left in between: nobody will be the last
            del self._waiting[next(iter(self._waiting))]
        return None
