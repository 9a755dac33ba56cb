"""Many streams on each connection: one writer for nineteen who read every room of this run."""

from loadtests.engine.client import Message
from loadtests.engine.many_streams import ManyStreamsReader
from tests.engine.application.scenarios import rooms


class Reader(ManyStreamsReader):
    """Nineteen of twenty."""

    kind = "streams"
    weight = 19
    follows = "rooms/{place}"

    def stamp_in(self, event: Message) -> str:
        return str(event["body"])


class Writer(rooms.Writer):
    """One of twenty."""

    kind = "streams"
    weight = 1
