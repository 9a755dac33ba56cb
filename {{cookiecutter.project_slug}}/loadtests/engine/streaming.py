"""Users of a stream, who read and write. A scenario says where they connect, what is said there, what they write."""

from typing import ClassVar

from locust import between, constant, task
from locust.env import Environment

from loadtests.engine.client import Message
from loadtests.engine.event_stream import EventFollower
from loadtests.engine.follower import Follower, Vocabulary
from loadtests.engine.measures import LastSubscriber, age
from loadtests.engine.places import next_place
from loadtests.engine.users import ConnectedUser


class StreamUser(ConnectedUser):
    """Somebody who follows the stream of a place."""

    abstract = True
    vocabulary: ClassVar[Vocabulary]
    connection: Follower

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.place = next_place(environment, type(self))
        self.stream = f"{self.kind}/{self.place}"
        self.connection = self.follow(self.path(), self.vocabulary, stream=self.stream, on_live=self.heard)

    def path(self) -> str:
        """The endpoint's, of `self.place`."""
        raise NotImplementedError

    def stamp_in(self, event: Message) -> str:
        """What begins with the stamp that its writer has put into an event."""
        raise NotImplementedError

    def heard(self, event: Message) -> None:
        """Somebody else's event is here."""
        seconds = age(self.stamp_in(event))
        if seconds is not None:
            self.measures.took("delivery", seconds)
            self.delivered(event, seconds)

    def delivered(self, event: Message, seconds: float) -> None:
        """An event took this long to come here."""


class StreamReader(StreamUser):
    """Reads; the last of a place's readers to see an event is measured too."""

    abstract = True
    wait_time = constant(1)
    _last_subscriber: ClassVar[LastSubscriber] = LastSubscriber()

    def on_start(self) -> None:
        self._last_subscriber.joined(self.stream)
        super().on_start()

    def on_stop(self) -> None:
        self._last_subscriber.left(self.stream)
        super().on_stop()

    def delivered(self, event: Message, seconds: float) -> None:
        longest = self._last_subscriber.received(self.stream, event["seq"], seconds)
        if longest is not None:
            self.measures.took("last subscriber", longest)

    @task
    def read(self) -> None:
        """What comes is dealt with as it comes; see whether something is missing."""
        self.connection.look()


class EventReader(StreamReader):
    """Reads by server-sent events: `path` is the address of these."""

    abstract = True
    follower = EventFollower


class StreamWriter(StreamUser):
    """Writes about once a second, and reads as well."""

    abstract = True
    wait_time = between(0.5, 1.5)

    def something_new(self) -> Message:
        """A message that carries `stamp()` where `stamp_in` finds it in its event; it is given a `client_id`."""
        raise NotImplementedError

    @task
    def write(self) -> None:
        """Write something, and see whether it arrives."""
        self.connection.deliver(self.something_new())
        self.connection.look()
