"""A client of an authenticated endpoint: it speaks JSON, shows signs of life, and leaves when it is asked to."""

import json
from time import monotonic
from typing import Any

from loadtests.engine.connection import Connection
from loadtests.engine.measures import Measures

Message = dict[str, Any]


class Client(Connection):
    """A connection on which what every such endpoint says is understood; a subclass understands more."""

    def __init__(self, url: str, measures: Measures, *, token: str) -> None:
        super().__init__(url, measures, token=token, on_message=self._heard)
        self._asked: float | None = None

    def say(self, message: Message) -> None:
        """Send a message if there is a connection."""
        self.send(json.dumps(message))

    def ping(self) -> None:
        """Ask for a `pong`, and measure how long it takes."""
        self._asked = monotonic()
        self.say({"type": "ping"})

    def received(self, message: Message) -> None:
        """A message that not every endpoint knows."""

    def refused(self, error: Message) -> None:
        """A message was answered with an error, which is counted already."""

    def _heard(self, raw: str | bytes) -> None:
        message: Message = json.loads(raw)
        match message["type"]:
            case "ping":
                self.say({"type": "pong"})
            case "pong":
                if self._asked is not None:
                    self.measures.took("ping", monotonic() - self._asked)
            case "reconnect":
                self.come_back_after(message["delay_ms"] / 1000)
            case "error":
                self.measures.failed("error", message["code"])
                self.refused(message)
            case _:
                self.received(message)
