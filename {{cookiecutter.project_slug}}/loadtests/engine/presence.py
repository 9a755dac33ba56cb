"""Users who come to a stream and go again, are told who else is there, and signal now and then."""

from time import monotonic
from typing import ClassVar

import gevent
from locust import between, task
from locust.env import Environment

from loadtests.engine.client import Client, Message
from loadtests.engine.follower import PATIENCE
from loadtests.engine.measures import Measures, age, stamp
from loadtests.engine.places import next_place
from loadtests.engine.tokens import Identity
from loadtests.engine.users import ConnectedUser

_PAUSE = 0.05


class Visitor(Client):
    """A connection to `/ws/streams` that is on a stream, or is not, and knows who else is."""

    _came: ClassVar[dict[object, float]] = {}
    """When each user of this process asked to be there."""

    def __init__(self, url: str, measures: Measures, *, identity: Identity, stream: str) -> None:
        super().__init__(url, measures, token=identity.token)
        self._user = identity.user_id
        self._stream = stream
        self._present: set[object] | None = None
        self._knows = False
        self.wants = False
        """To be there."""

    def opened(self) -> None:
        self._knows = False
        if self.wants:
            self._subscribe()
        else:
            self.back()

    def come(self) -> None:
        """Be on the stream."""
        self.wants = True
        self._subscribe()

    def go(self) -> None:
        """Be there no longer, if that has come about."""
        if not self._knows:
            return
        self.wants = self._knows = False
        self.say({"type": "unsubscribe", "stream": self._stream})

    def signal(self) -> None:
        """Tell the others when this was said."""
        if self._knows:
            self.say({"type": "signal", "stream": self._stream, "data": {"stamp": stamp()}})

    def settle(self) -> None:
        """Wait until it is known who is there, and report if it is not."""
        deadline = monotonic() + PATIENCE
        while self.wants and not self._knows and monotonic() < deadline:
            gevent.sleep(_PAUSE)
        if self.wants and not self._knows:
            self.measures.failed("join", "never")

    def received(self, message: Message) -> None:
        match message:
            case {"type": "presence", "users": users, "count": count} if self.wants:
                self._listed(set(users), count)
            case {"type": "joined", "user_id": user} if self._knows:
                self._joined(user)
            case {"type": "left", "user_id": user} if self._knows:
                self._left(user)
            case {"type": "signal", "data": {"stamp": said}} if (seconds := age(said)) is not None:
                self.measures.took("signal", seconds)

    def _subscribe(self) -> None:
        self._came[self._user] = monotonic()
        self.say({"type": "subscribe", "stream": self._stream, "presence": True})

    def _listed(self, users: set[object], count: int) -> None:
        if not self._knows:
            self.measures.took("join", monotonic() - self._came[self._user])
            self.back()
        self._knows = True
        self._present = users if len(users) == count else None

    def _joined(self, user: object) -> None:
        if user in self._came:
            self.measures.took("joined", monotonic() - self._came[user])
        if self._present is not None:
            if user in self._present:
                self.measures.failed("joined", "somebody who was there already")
            self._present.add(user)

    def _left(self, user: object) -> None:
        if self._present is not None:
            if user not in self._present:
                self.measures.failed("left", "somebody who was not there")
            self._present.discard(user)


class ComesAndGoes(ConnectedUser):
    """Is on the stream of a place for a while, and then is not, mostly for longer than a reconnect takes."""

    abstract = True
    wait_time = between(1, 3)
    visits: ClassVar[str]
    """The name of a place's stream: `rooms/{place}`."""
    connection: Visitor

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.connection = Visitor(
            self._address("/ws/streams"),
            self.measures,
            identity=self.identity,
            stream=self.visits.format(place=next_place(environment, type(self))),
        )

    def on_start(self) -> None:
        super().on_start()
        self.connection.come()

    @task(4)
    def signal(self) -> None:
        """Type something."""
        self.connection.signal()

    @task
    def come_or_go(self) -> None:
        """Whoever is away comes back, and who is here leaves."""
        (self.connection.go if self.connection.wants else self.connection.come)()
