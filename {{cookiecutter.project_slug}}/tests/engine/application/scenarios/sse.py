"""Server-sent events: few writers, many readers, in one crowded room and many quiet ones."""

from loadtests.engine.streaming import EventReader
from tests.engine.application.scenarios import rooms


class Reader(rooms.InARoom, EventReader):
    """Nineteen of twenty."""

    kind = "sse"
    weight = 19

    def path(self) -> str:
        return f"/api/streams/rooms/{self.place}/events"


class Writer(rooms.Writer):
    """One of twenty."""

    kind = "sse"
    weight = 1
