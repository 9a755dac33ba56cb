"""A stream by server-sent events, read as a WebSocket is: one message after the other, and an end."""

import json
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from loadtests.engine.follower import Follower
from loadtests.engine.websocket import Closed, Refused, WebSocket

_SILENCE_SECONDS = 90
"""More than two heartbeats, which are lines with a colon."""
_RESTARTING = 1012


class EventStream(WebSocket):
    """An open answer. Nothing can be said on it."""

    def __init__(self, url: str, token: str | None = None) -> None:
        request = Request(url.replace("ws", "http", 1), headers={"Authorization": f"Bearer {token}"})
        self._ending = Closed(1006, "the answer ended")
        try:
            self._answer = urlopen(request, timeout=_SILENCE_SECONDS)
        except HTTPError as error:
            with error:
                raise Refused(error.code, error.read()) from None

    def send(self, message: str | bytes) -> None:
        """There is no way to."""

    def receive(self) -> str:
        """Wait for the next message; raises Closed."""
        try:
            while line := self._answer.readline():
                if line.startswith(b"data: "):
                    return self._noted(line.removeprefix(b"data: ").decode().rstrip("\n"))
        except (OSError, ValueError, AttributeError, HTTPException) as error:  # cut off while it reads
            raise Closed(1006, type(error).__name__) from None
        raise self._ending

    def close(self) -> None:
        """Read no longer."""
        self._answer.close()

    def cut(self) -> None:
        """End it as a lost link does."""
        self.close()

    def _noted(self, text: str) -> str:
        if json.loads(text)["type"] == "reconnect":
            self._ending = Closed(_RESTARTING, "restarting")
        return text


class EventFollower(Follower):
    """Follows a stream by server-sent events."""

    def open(self, url: str) -> WebSocket:
        return EventStream(url, self.token)
