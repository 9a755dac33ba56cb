"""Few writers, many readers, in one crowded room and many quiet ones."""

from loadtests.engine.client import Message
from loadtests.engine.follower import Vocabulary
from loadtests.engine.measures import stamp
from loadtests.engine.streaming import StreamReader, StreamUser, StreamWriter


class InARoom(StreamUser):
    """Somebody in a room."""

    abstract = True
    kind = "rooms"
    vocabulary = Vocabulary(events=("entry",), answers=("entry_created",))

    def path(self) -> str:
        return f"/ws/rooms/{self.place}"

    def stamp_in(self, event: Message) -> str:
        return str(event["body"])


class Reader(InARoom, StreamReader):
    """Nineteen of twenty."""

    weight = 19


class Writer(InARoom, StreamWriter):
    """One of twenty."""

    weight = 1

    def something_new(self) -> Message:
        return {"type": "new_entry", "body": f"{stamp()} lorem ipsum"}
