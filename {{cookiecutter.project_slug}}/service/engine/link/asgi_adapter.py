"""A socket in ASGI's messages: its handshake, and for an application that does not take the link, all that follows."""

import asyncio
from collections import deque
from collections.abc import MutableMapping
from typing import Any

from service.engine.foundation.endings import BUG, LOST, NORMAL, SLOW_CONSUMER
from service.engine.foundation.frames import Frame
from service.engine.link.answers import refusing, refusing_alone
from service.engine.link.socket_link import SocketLink

_CLOSE_SECONDS = 10.0
"""How long a client gets to answer a close (uvicorn's default)."""
_MOST_EVENTS = 16
"""How many may wait for an application that is busy before its socket is not read any more."""

_NO_CODE = 1005

Message = MutableMapping[str, Any]


class AsgiAdapter:
    """`receive` and `send` of one WebSocket (https://asgi.readthedocs.io/en/latest/specs/www.html#websocket)."""

    def __init__(self, link: SocketLink) -> None:
        self._link = link
        self._events: deque[Message] = deque([{"type": "websocket.connect"}])
        self._arrival: asyncio.Future[None] | None = None
        self._answer: Message = {}
        self._body = b""
        self._is_accepted = False
        self.is_over = False
        """Whether the client is gone."""
        link.receiver = self

    async def receive(self) -> Message:
        while not self._events:
            self._arrival = self._link.loop.create_future()
            await self._arrival
        event = self._events.popleft()
        if len(self._events) < _MOST_EVENTS:
            self._link.resume_reading()
        return event

    async def send(self, message: Message) -> None:
        """Raises: OSError, the client is gone; RuntimeError, ASGI does not know the message, here."""
        match message["type"]:
            case "websocket.accept" if not self._link.answered:
                self._is_accepted = True
                await self._link.accept(self, message.get("subprotocol"), message.get("headers", ()))
            case "websocket.close" if not self._link.answered and not self.is_over:
                self._refuse(refusing_alone(403))
            case "websocket.http.response.start" if not self._link.answered:
                self._answer = message
            case "websocket.http.response.body" if self._answer:
                self._body += message.get("body", b"")
                if not message.get("more_body", False):
                    self._refuse(refusing(self._answer["status"], self._answer.get("headers", ()), self._body))
            case "websocket.send" if self._link.answered:
                await self._send(message)
            case "websocket.close" if self._link.answered:
                self._link.close(message.get("code", NORMAL.code), message.get("reason") or "", _CLOSE_SECONDS)
            case unexpected if not self.is_over:
                raise RuntimeError(f"{unexpected} is not expected now")

    def returned(self, error: BaseException | None = None) -> None:
        """The application has, perhaps by an error, and has not given the link a life."""
        self._link.refuse(refusing_alone(500))
        ending = NORMAL if error is None else BUG
        self._link.close(ending.code, ending.reason, _CLOSE_SECONDS)

    def _refuse(self, answer: bytes) -> None:
        self._link.refuse(answer)
        self.ended(LOST)

    async def _send(self, message: Message) -> None:
        if self.is_over:
            raise ConnectionResetError("the client is gone")
        text = message.get("text")
        self._link.write(Frame(message["bytes"], is_text=False) if text is None else Frame(text.encode()))
        if self._link.congested:
            await self._link.drained()

    # What the link tells

    def received(self, data: str | bytes, _now: float) -> None:
        kind = "text" if isinstance(data, str) else "bytes"
        self._put({"type": "websocket.receive", kind: data})
        if len(self._events) >= _MOST_EVENTS:
            self._link.pause_reading()

    def heard(self, _now: float) -> None:
        """Nobody asks."""

    def broke(self, code: int, reason: str) -> None:
        self._link.close(code, reason, _CLOSE_SECONDS)
        self.ended(code, reason)

    def ended(self, code: int, reason: str = "") -> None:
        if not self.is_over:
            self.is_over = True
            code = _NO_CODE if code == LOST and self._is_accepted else code
            self._put({"type": "websocket.disconnect", "code": code, "reason": reason})

    def overflowed(self) -> None:
        self._link.close(SLOW_CONSUMER.code, SLOW_CONSUMER.reason, _CLOSE_SECONDS)

    def _put(self, event: Message) -> None:
        self._events.append(event)
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
