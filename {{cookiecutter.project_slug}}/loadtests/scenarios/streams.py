"""Many streams on each connection: one writer for nineteen who read every post of this run."""

from loadtests.engine.client import Message
from loadtests.engine.many_streams import ManyStreamsReader
from loadtests.scenarios import live_comments


class Reader(ManyStreamsReader):
    """Nineteen of twenty."""

    kind = "streams"
    weight = 19
    follows = "comments/{place}"

    def stamp_in(self, event: Message) -> str:
        return str(event["body"])


class Writer(live_comments.Writer):
    """One of twenty."""

    kind = "streams"
    weight = 1
