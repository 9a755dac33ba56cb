"""A topic's latest events, so that clients that come back cost no query each."""

from collections import deque
from collections.abc import Sequence

from service.engine.streams.event import Event
from service.engine.streams.stored import HISTORY_LIMIT

_MOST_BYTES = 262_144


class RecentEvents:
    """Without a gap, within bounds in number and bytes. Nothing is there for a topic that is quiet, as most are."""

    __slots__ = ("_bytes", "_events")

    def __init__(self) -> None:
        self._events: deque[Event] | None = None
        self._bytes = 0

    def after(self, position: int) -> list[Event] | None:
        """Those after `position`; None if some of them are kept no longer."""
        if not self._events or self._events[0].seq > position + 1:
            return None
        return [event for event in self._events if event.seq > position]

    def add(self, event: Event) -> None:
        """Keep the latest event."""
        if self._events is None or (self._events and self._events[-1].seq + 1 != event.seq):
            self._events, self._bytes = deque(), 0
        self._events.append(event)
        self._bytes += len(event.frame.payload)
        while self._bytes > _MOST_BYTES or len(self._events) > HISTORY_LIMIT:
            self._bytes -= len(self._events.popleft().frame.payload)

    def add_older(self, found: Sequence[Event], position: int) -> None:
        """Keep what was read, as far as it lies right before what is kept, or before the topic's `position`."""
        events = self._events if self._events is not None else deque[Event]()
        oldest = events[0].seq if events else position + 1
        for event in reversed(found):
            size = len(event.frame.payload)
            if event.seq >= oldest:
                continue
            if event.seq != oldest - 1 or len(events) == HISTORY_LIMIT or self._bytes + size > _MOST_BYTES:
                break
            events.appendleft(event)
            self._bytes += size
            oldest = event.seq
        self._events = events or None
