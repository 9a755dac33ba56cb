"""Server-sent events: few writers, many readers, in one crowded post and many quiet ones."""

from loadtests.engine.streaming import EventReader
from loadtests.scenarios import live_comments


class Reader(live_comments.OnAPost, EventReader):
    """Nineteen of twenty."""

    kind = "sse"
    weight = 19

    def path(self) -> str:
        return f"/api/streams/comments/{self.place}/events"


class Writer(live_comments.Writer):
    """One of twenty."""

    kind = "sse"
    weight = 1
