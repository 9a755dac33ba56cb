"""Few writers, many readers, on one hot post and many cold ones."""

from loadtests.engine.client import Message
from loadtests.engine.follower import Vocabulary
from loadtests.engine.measures import stamp
from loadtests.engine.streaming import StreamReader, StreamUser, StreamWriter

_TEXT = "lorem ipsum dolor sit amet, consectetur adipiscing elit"


class OnAPost(StreamUser):
    """Somebody on a post."""

    abstract = True
    kind = "comments"
    vocabulary = Vocabulary(events=("comment",), answers=("comment_created",))

    def path(self) -> str:
        return f"/ws/live-comments/{self.place}"

    def stamp_in(self, event: Message) -> str:
        return str(event["body"])


class Reader(OnAPost, StreamReader):
    """Nineteen of twenty."""

    weight = 19


class Writer(OnAPost, StreamWriter):
    """One of twenty."""

    weight = 1

    def something_new(self) -> Message:
        return {"type": "new_comment", "body": f"{stamp()} {_TEXT}"}
