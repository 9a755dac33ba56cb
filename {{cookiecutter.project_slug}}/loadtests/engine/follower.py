"""A client that follows a stream: it keeps its position, misses nothing, and sends again what nobody confirmed."""

import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from time import monotonic

import gevent

from loadtests.engine.client import Client, Message
from loadtests.engine.ledger import Ledger
from loadtests.engine.measures import Measures

PATIENCE = 5.0
"""Seconds after which what was not confirmed is sent again, and what did not come is lost."""
_PAUSE = 0.05
_FOR_NOW = {"rate_limited", "unavailable"}
"""What is refused for one of these is sent again."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Vocabulary:
    """The `type` of what an endpoint sends: events, answers to a writer; and where an answer has its event's `seq`."""

    events: tuple[str, ...]
    answers: tuple[str, ...] = ()
    seq: Callable[[Message], int] = itemgetter("seq")


class Follower(Client):
    """A connection to an endpoint that sends a stream's events, in the words of a vocabulary.

    Each message that comes live is handed to `on_live`. `existing` holds, by stream, the last `seq` that any client of
    this process has seen confirmed: where a new follower begins, and what each must have seen in the end.
    """

    def __init__(
        self,
        url: str,
        measures: Measures,
        *,
        token: str,
        vocabulary: Vocabulary,
        stream: str,
        existing: dict[str, int],
        on_live: Callable[[Message], None],
    ) -> None:
        super().__init__(url, measures, token=token)
        self.live = False
        self._vocabulary = vocabulary
        self._stream = stream
        self._existing = existing
        self._on_live = on_live
        self._ledger = Ledger(existing.get(stream, 0))
        self._began: float = 0
        self._was_here = False
        self._unconfirmed: dict[str, tuple[Message, float]] = {}
        self._numbers = itertools.count(1)

    def query(self) -> Mapping[str, object]:
        return {"after": self._ledger.position}

    def opened(self) -> None:
        self.live = False
        self._began = monotonic()
        self._ledger.connected()

    def deliver(self, message: Message) -> None:
        """Have a message stored, on as many connections as that takes; does not wait for it."""
        client_id = f"{id(self)}-{next(self._numbers)}"
        self._unconfirmed[client_id] = ({**message, "client_id": client_id}, monotonic())
        if self.live:
            self.say(self._unconfirmed[client_id][0])

    def look(self, patience: float = PATIENCE) -> None:
        """Send again what is unconfirmed for too long, and report what is missing for too long."""
        now = monotonic()
        if self.live:
            for message, started in list(self._unconfirmed.values()):
                if now - started > patience:
                    self.say(message)
        missing = self._ledger.lost(patience)
        if missing:
            _logger.error("lost on %s: seq %s", self._stream, missing)
        for _ in missing:
            self.measures.failed("lost", "a message never came")

    def settle(self) -> None:
        """Wait until all is confirmed and all that was confirmed to others has come; report what is not and has not."""
        self._ledger.expect(self._existing.get(self._stream, 0))
        deadline = monotonic() + PATIENCE
        while (self._unconfirmed or not self._ledger.complete) and monotonic() < deadline:
            gevent.sleep(_PAUSE)
        for _ in self._unconfirmed:
            self.measures.failed("stored", "never confirmed")
        self.look(patience=0)

    def received(self, message: Message) -> None:
        kind = message["type"]
        if kind in self._vocabulary.events:
            self._pushed(message)
        elif kind in self._vocabulary.answers:
            self._confirmed(self._vocabulary.seq(message), message.get("client_id"))
        elif kind == "caught_up":
            self._caught_up(message["seq"])
        elif kind == "history_gap":
            self._missed_too_much(message["seq"])

    def refused(self, error: Message) -> None:
        if error["code"] not in _FOR_NOW:
            self._unconfirmed.pop(error.get("client_id", ""), None)

    def _pushed(self, message: Message) -> None:
        fault = self._ledger.pushed(message["seq"])
        if fault is not None:
            _logger.error("%s on %s: seq %s", fault, self._stream, message["seq"])
            self.measures.failed(fault, f"a message came {fault}")
        elif self.live:
            self._on_live(message)

    def _confirmed(self, seq: int, client_id: str | None) -> None:
        self._ledger.know(seq)
        self._existing[self._stream] = max(seq, self._existing.get(self._stream, 0))
        if client_id in self._unconfirmed:  # and not for the second time
            _, started = self._unconfirmed.pop(client_id)
            self.measures.took("stored", monotonic() - started)

    def _caught_up(self, seq: int) -> None:
        self._ledger.expect(seq)
        if self._was_here:
            self.measures.took("catch-up", monotonic() - self._began)
        self._go_live()

    def _missed_too_much(self, seq: int) -> None:
        if self._was_here:
            self.measures.failed("catch-up", "history_gap: more was missed than is sent again")
        self._ledger.skip_to(seq)
        self._go_live()

    def _go_live(self) -> None:
        self.live = self._was_here = True
        self.back()
        for message, _ in list(self._unconfirmed.values()):
            self.say(message)
