"""A client that follows a stream: it keeps its position, misses nothing, and sends again what nobody confirmed."""

import itertools
import json
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import gevent

from loadtests.connection import Connection
from loadtests.ledger import Ledger
from loadtests.measures import Measures

PATIENCE = 5.0
"""Seconds after which what was not confirmed is sent again, and what did not come is lost."""
_PAUSE = 0.05
_logger = logging.getLogger(__name__)
Message = dict[str, Any]


class Follower(Connection):
    """A connection to `/ws/live-comments/…` or `/ws/notifications`.

    Each message that comes live is handed to `on_live`. `existing` holds, by stream, the last `seq` that any client of
    this process has seen confirmed: where a new follower begins, and what each must have seen in the end.
    """

    def __init__(
        self,
        url: str,
        measures: Measures,
        *,
        token: str,
        stream: str,
        existing: dict[str, int],
        on_live: Callable[[Message], None],
    ) -> None:
        super().__init__(url, measures, token=token, on_message=self._received)
        self.live = False
        self._stream = stream
        self._existing = existing
        self._on_live = on_live
        self._ledger = Ledger(existing.get(stream, 0))
        self._began: float = 0
        self._asked: float | None = None
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
            self._say(self._unconfirmed[client_id][0])

    def ping(self) -> None:
        """Ask for a `pong`, and measure how long it takes."""
        self._asked = monotonic()
        self._say({"type": "ping"})

    def look(self, patience: float = PATIENCE) -> None:
        """Send again what is unconfirmed for too long, and report what is missing for too long."""
        now = monotonic()
        if self.live:
            for message, started in list(self._unconfirmed.values()):
                if now - started > patience:
                    self._say(message)
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

    def _say(self, message: Message) -> None:
        self.send(json.dumps(message))

    def _received(self, raw: str | bytes) -> None:
        message: Message = json.loads(raw)
        match message["type"]:
            case "comment" | "notification":
                self._pushed(message)
            case "comment_created":
                self._confirmed(message)
            case "caught_up":
                self._caught_up(message["seq"])
            case "history_gap":
                self._missed_too_much(message["seq"])
            case "reconnect":
                self.come_back_after(message["delay_ms"] / 1000)
            case "ping":
                self._say({"type": "pong"})
            case "pong" if self._asked is not None:
                self.measures.took("ping", monotonic() - self._asked)
            case "error":
                self.measures.failed("error", message["code"])

    def _pushed(self, message: Message) -> None:
        fault = self._ledger.pushed(message["seq"])
        if fault is not None:
            _logger.error("%s on %s: seq %s", fault, self._stream, message["seq"])
            self.measures.failed(fault, f"a message came {fault}")
        elif self.live:
            self._on_live(message)

    def _confirmed(self, message: Message) -> None:
        self._ledger.know(message["seq"])
        self._existing[self._stream] = max(message["seq"], self._existing.get(self._stream, 0))
        if message["client_id"] in self._unconfirmed:  # and not for the second time
            _, started = self._unconfirmed.pop(message["client_id"])
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
            self._say(message)
