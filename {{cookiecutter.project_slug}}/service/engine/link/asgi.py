"""The link on any ASGI server, through `receive` and `send`.

What it cannot do: send protocol pings, or drop a socket that does not read; the server's own time-outs apply to these.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from time import monotonic
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from service.engine.foundation.endings import LOST
from service.engine.foundation.frames import Frame
from service.engine.link.link import Receiver

_HIGH_WATER = 65_536


class AsgiLink:
    """A `Link` with a task that reads and a task that writes."""

    can_ping = False

    def __init__(self, websocket: WebSocket, max_outbox_bytes: int) -> None:
        self._websocket = websocket
        self._max_outbox_bytes = max_outbox_bytes
        self._receiver: Receiver | None = None
        self._outbox: deque[Frame] = deque()
        self._size = 0
        self._closing: tuple[int, str, float] | None = None
        self._wanted = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._reading = asyncio.Event()
        self._reading.set()

    async def run(self, life: Coroutine[Any, Any, None]) -> None:
        await life

    async def accept(self, receiver: Receiver, subprotocol: str | None) -> None:
        try:
            await self._websocket.accept(subprotocol)
        except (OSError, WebSocketDisconnect):
            receiver.ended(LOST)
        self._receiver = receiver
        self._reader = asyncio.create_task(self._read())
        self._writer = asyncio.create_task(self._write())

    def write(self, frame: Frame) -> None:
        if self._closing is not None:
            return
        if self._size + len(frame.payload) > self._max_outbox_bytes:
            assert self._receiver is not None
            self._receiver.overflowed()
            return
        self._outbox.append(frame)
        self._size += len(frame.payload)
        if self._size > _HIGH_WATER:
            self._drained.clear()
        self._wanted.set()

    def ping(self) -> None:
        """There is no ASGI message for it."""

    @property
    def congested(self) -> bool:
        return not self._drained.is_set()

    async def drained(self) -> None:
        await self._drained.wait()

    def buffered(self) -> int:
        return self._size

    def pause_reading(self) -> None:
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    def close(self, code: int, reason: str, abort_after: float) -> None:
        if self._closing is None:
            self._closing = (code, reason, abort_after)
            self._wanted.set()

    def abort(self) -> None:
        self.close(1006, "", 0)
        if self._receiver is not None:
            self._writer.cancel()

    async def finish(self) -> None:
        if self._receiver is None:
            return
        self.close(1000, "", 1)
        assert self._closing is not None
        tasks = [self._reader, self._writer]
        await asyncio.wait(tasks[1:], timeout=self._closing[2])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        assert self._receiver is not None
        while True:
            await self._reading.wait()
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                self._receiver.ended(message.get("code", 1005))
                return
            now = monotonic()
            self._receiver.heard(now)
            text = message.get("text")
            self._receiver.received(message["bytes"] if text is None else text, now)

    async def _write(self) -> None:
        while self._outbox or self._closing is None:
            await self._wanted.wait()
            self._wanted.clear()
            while self._outbox:
                frame = self._outbox.popleft()
                self._size -= len(frame.payload)
                if frame.is_text:
                    await self._websocket.send_text(frame.payload.decode())
                else:
                    await self._websocket.send_bytes(frame.payload)
            self._drained.set()
        code, reason, _ = self._closing
        if code not in {1005, 1006}:  # these may not be sent (RFC 6455 §7.4.1)
            await self._websocket.close(code, reason)
