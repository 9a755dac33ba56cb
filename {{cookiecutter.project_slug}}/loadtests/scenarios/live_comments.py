"""Few writers, many readers, on one hot post and many cold ones."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import ClassVar

from locust import between, constant, task
from locust.env import Environment

from loadtests.follower import Message
from loadtests.measures import LastSubscriber, age, stamp
from loadtests.users import WebSocketUser, options_of

_POSTS_A_RUN = 1_000
_COLD_POSTS = 20
_ON_THE_HOT_POST, _OF_USERS = 4, 5
_TEXT = " lorem ipsum dolor sit amet, consectetur adipiscing elit"


class CommentsUser(WebSocketUser):
    """Somebody on a post: of each class four of five on the hot one, the others spread over the cold ones."""

    abstract = True
    kind = "comments"
    _numbers: ClassVar[defaultdict[type, Iterator[int]]] = defaultdict(itertools.count)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        group, place = divmod(next(self._numbers[type(self)]), _OF_USERS)
        post = 0 if place < _ON_THE_HOT_POST else 1 + group % _COLD_POSTS
        self.path = f"/ws/live-comments/{options_of(environment).run_number * _POSTS_A_RUN + post}"
        self.post = self.follow(self.path, stream=self.path, on_live=self.heard)

    def on_start(self) -> None:
        self.post.start()

    def on_stop(self) -> None:
        self.post.settle()
        self.post.close()

    def heard(self, comment: Message) -> None:
        """Somebody else's comment is here."""
        seconds = age(comment["body"])
        if seconds is not None:
            self.measures.took("delivery", seconds)


class Reader(CommentsUser):
    """Reads; the last of the readers to see a comment is measured too."""

    weight = 19
    wait_time = constant(1)
    _last_subscriber: ClassVar[LastSubscriber] = LastSubscriber()

    def on_start(self) -> None:
        self._last_subscriber.joined(self.path)
        super().on_start()

    def on_stop(self) -> None:
        self._last_subscriber.left(self.path)
        super().on_stop()

    def heard(self, comment: Message) -> None:
        super().heard(comment)
        seconds = age(comment["body"])
        if seconds is not None:
            longest = self._last_subscriber.received(self.path, comment["seq"], seconds)
            if longest is not None:
                self.measures.took("last subscriber", longest)

    @task
    def read(self) -> None:
        """What comes is dealt with as it comes; see whether something is missing."""
        self.post.look()


class Writer(CommentsUser):
    """Writes a comment about every second, and reads as well."""

    weight = 1
    wait_time = between(0.5, 1.5)

    @task
    def write(self) -> None:
        """Write a comment that carries the time of its writing."""
        self.post.deliver({"type": "new_comment", "body": stamp() + _TEXT})
        self.post.look()
