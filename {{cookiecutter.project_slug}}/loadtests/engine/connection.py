"""A client's connection, as long as the client lives: it comes back after every loss, as docs/protocol.md asks for."""

import json
import logging
import random
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import gevent
from gevent.event import Event

from loadtests.engine.measures import Measures
from loadtests.engine.websocket import Closed, Refused, WebSocket

_FIRST_BOUND, _LONGEST_BOUND = 0.5, 30.0
"""Seconds. Full jitter: delays are random below a bound that doubles with each failure."""
_PATIENCE = 10.0
_RESTARTING = 1012
_logger = logging.getLogger(__name__)


class Connection:
    """One connection at a time to `url`, with a greenlet that reads from it."""

    def __init__(
        self, url: str, measures: Measures, *, token: str | None = None, on_message: Callable[[str | bytes], None]
    ) -> None:
        self.measures = measures
        self._url = url
        self.token = token
        self._on_message = on_message
        self._socket: WebSocket | None = None
        self._open = Event()
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._lost_at: float | None = None
        self._delay: float | None = None
        self._failures = 0
        self._cut = False

    def start(self) -> None:
        """Connect, and return once there is a connection or it has been tried for long."""
        self._greenlet = gevent.spawn(self._live)
        self._open.wait(_PATIENCE)

    def close(self) -> None:
        """End it for good."""
        if self._greenlet is not None:
            self._greenlet.kill()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def cut(self) -> None:
        """Lose the connection as a phone in a tunnel does."""
        if self._socket is not None:
            self._cut = True
            self._socket.cut()

    def send(self, message: str | bytes) -> bool:
        """Send a message if there is a connection; returns whether there is."""
        if self._socket is None or not self._open.is_set():
            return False
        try:
            self._socket.send(message)
        except Closed:  # the reader is told too, and deals with it
            return False
        return True

    def open(self, url: str) -> WebSocket:
        """A new connection; raises Refused or OSError."""
        return WebSocket(url, self.token)

    def query(self) -> Mapping[str, object]:
        """What the address of the next connection asks for."""
        return {}

    def opened(self) -> None:
        """There is a new connection."""
        self.back()

    def back(self) -> None:
        """All is again as it was before the connection was lost."""
        if self._lost_at is not None:
            self.measures.took("reconnect", monotonic() - self._lost_at)
            self._lost_at = None

    def look(self) -> None:
        """See whether something is missing; what there is to see, a subclass knows."""

    def settle(self) -> None:
        """Wait at the end for what is still under way; a subclass knows what that is."""

    def come_back_after(self, seconds: float) -> None:
        """Wait for this long, instead of a random time, before the next connection."""
        self._delay = seconds

    def _live(self) -> None:
        while True:
            try:
                self._dial()
                self._listen()
            except Refused as refused:
                self._refused(refused)
            except Closed as closed:
                self._closed(closed)
            except OSError as error:
                self.measures.failed("connect", type(error).__name__)
            self._open.clear()
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            jitter = random.uniform(0, min(_LONGEST_BOUND, _FIRST_BOUND * 2**self._failures))
            gevent.sleep(jitter if self._delay is None else self._delay)
            self._delay = None
            self._failures += 1

    def _dial(self) -> None:
        started = monotonic()
        query = urlencode(self.query())
        self._socket = self.open(f"{self._url}?{query}" if query else self._url)
        self.measures.took("connect", monotonic() - started)
        self._open.set()
        self.opened()

    def _listen(self) -> None:
        assert self._socket is not None
        while True:
            message = self._socket.receive()
            self._failures = 0
            try:
                self._on_message(message)
            except (ValueError, KeyError) as error:
                _logger.exception("not what the protocol promises: %r", message)
                self.measures.failed("message", type(error).__name__)

    def _refused(self, refused: Refused) -> None:
        code = _code_of(refused.body)
        if code == "draining":
            self.measures.took("refused while draining", 0)
        else:
            self.measures.failed("connect", f"{refused.status} {code}")

    def _closed(self, closed: Closed) -> None:
        self._lost_at = self._lost_at or monotonic()
        if closed.code == _RESTARTING:
            self.measures.took("closed for a restart", 0)
        elif not self._cut:
            self.measures.failed("connection", f"{closed.code} {closed.reason}")
        self._cut = False


def _code_of(body: bytes) -> str:
    try:
        answer: Any = json.loads(body)
        return str(answer["code"])
    except (ValueError, KeyError, TypeError):
        return "without a code"
