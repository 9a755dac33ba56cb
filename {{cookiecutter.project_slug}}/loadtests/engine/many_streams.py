"""A client that follows many streams on one connection, and misses nothing of any of them."""

import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import ClassVar

import gevent
from locust import constant, task
from locust.env import Environment

from loadtests.engine.client import Client, Message
from loadtests.engine.follower import PATIENCE
from loadtests.engine.ledger import Ledger
from loadtests.engine.measures import Measures, age
from loadtests.engine.places import places
from loadtests.engine.users import ConnectedUser

_PAUSE = 0.05
_logger = logging.getLogger(__name__)


class ManyFollower(Client):
    """A connection to `/ws/streams`: from now on at first, and then from each stream's position."""

    def __init__(
        self, url: str, measures: Measures, *, token: str, streams: Sequence[str], on_live: Callable[[Message], None]
    ) -> None:
        super().__init__(url, measures, token=token)
        self._on_live = on_live
        self._ledgers: dict[str, Ledger | None] = dict.fromkeys(streams)
        self._behind: set[str] = set()
        self._began = 0.0

    def opened(self) -> None:
        self._began = monotonic()
        self._behind = set(self._ledgers)
        for stream, ledger in self._ledgers.items():
            after = {} if ledger is None else {"after": ledger.position}
            if ledger is not None:
                ledger.connected()
            self.say({"type": "subscribe", "stream": stream, **after})

    def received(self, message: Message) -> None:
        if "stream" not in message:
            return
        stream = message["stream"]
        ledger = self._ledgers[stream]
        if message["type"] == "subscribed":
            self._subscribed(stream, message["seq"])
        elif message["type"] == "history_gap":
            self.measures.failed("subscribed", "history_gap: more was missed than is sent again")
        elif ledger is not None:
            self._pushed(stream, ledger, message)

    def look(self, patience: float = PATIENCE) -> None:
        for stream, ledger in self._ledgers.items():
            missing = ledger.lost(patience) if ledger is not None else []
            if missing:
                _logger.error("lost on %s: seq %s", stream, missing)
            for _ in missing:
                self.measures.failed("lost", "a message never came")

    def settle(self) -> None:
        """Wait until all streams are followed and nothing is missing; report what is."""
        deadline = monotonic() + PATIENCE
        while not self._complete and monotonic() < deadline:
            gevent.sleep(_PAUSE)
        for _ in self._behind:
            self.measures.failed("subscribed", "never")
        self.look(patience=0)

    @property
    def _complete(self) -> bool:
        return not self._behind and all(ledger is not None and ledger.complete for ledger in self._ledgers.values())

    def _subscribed(self, stream: str, seq: int) -> None:
        ledger = self._ledgers[stream]
        if ledger is None:
            self._ledgers[stream] = Ledger(seq)
        else:
            ledger.expect(seq)
        self._behind.discard(stream)
        if not self._behind:
            self.measures.took("subscribed", monotonic() - self._began)
            self.back()

    def _pushed(self, stream: str, ledger: Ledger, event: Message) -> None:
        fault = ledger.pushed(event["seq"])
        if fault is not None:
            _logger.error("%s on %s: seq %s", fault, stream, event["seq"])
            self.measures.failed(fault, f"a message came {fault}")
        elif stream not in self._behind:
            self._on_live(event)


class ManyStreamsReader(ConnectedUser):
    """Follows the streams of all places on one connection."""

    abstract = True
    wait_time = constant(1)
    follows: ClassVar[str]
    """The name of a place's stream: `rooms/{place}`."""
    connection: ManyFollower

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.connection = ManyFollower(
            self._address("/ws/streams"),
            self.measures,
            token=self.identity.token,
            streams=[self.follows.format(place=place) for place in places(environment)],
            on_live=self.heard,
        )

    def stamp_in(self, event: Message) -> str:
        """What begins with the stamp that its writer has put into an event."""
        raise NotImplementedError

    def heard(self, event: Message) -> None:
        """Somebody's event is here."""
        seconds = age(self.stamp_in(event))
        if seconds is not None:
            self.measures.took("delivery", seconds)

    @task
    def read(self) -> None:
        """What comes is dealt with as it comes; see whether something is missing."""
        self.connection.look()
