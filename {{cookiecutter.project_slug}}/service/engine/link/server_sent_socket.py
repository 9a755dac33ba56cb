"""The link of server-sent events that writes to its socket itself: no task, no queue, and no step between."""

import asyncio
from asyncio import Transport
from collections.abc import Callable
from typing import Any, Protocol, TypedDict

from starlette.types import Receive, Send

from service.engine.foundation.endings import LOST
from service.engine.link.server_sent import HEARTBEAT, Client, Headers

EXTENSION = "service.connection"
"""Where in the ASGI scope's extensions our server puts what is `Offered`."""


class _Flow(Protocol):
    write_paused: bool

    async def drain(self) -> None: ...


class Connection(Protocol):
    """What our server offers of a connection on which an answer goes on."""

    loop: asyncio.AbstractEventLoop
    transport: Transport
    flow: _Flow

    def answer_without_end(self, answer: Any) -> bool:
        """Read no more requests, and drop those that wait; returns whether the body of `answer` goes in chunks."""


class Offered(TypedDict):
    """What it puts there."""

    connection: Connection
    answer: Callable[[], Any]


class SocketServerSentLink:
    """A `ServerSentLink`. What a client is due in one turn of the event loop leaves together, in one system call."""

    can_ping = True

    _in_chunks = True

    def __init__(self, offered: Offered, receive: Receive, send: Send, max_outbox_bytes: int) -> None:
        self._connection = offered["connection"]
        self._answer = offered["answer"]
        self._transport = self._connection.transport
        self._flow = self._connection.flow
        self._receive = receive
        self._send = send
        self._max_outbox_bytes = max_outbox_bytes
        self._client: Client | None = None
        """From when the head is sent."""
        self._unsent: list[bytes] = []
        self._closing = False

    async def start(self, headers: Headers) -> None:
        self._in_chunks = self._connection.answer_without_end(self._answer())
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def write(self, encoded: bytes) -> None:
        if self._closing or self._transport.is_closing():
            return
        if self._flow.write_paused and self.buffered() + len(encoded) > self._max_outbox_bytes:
            assert self._client is not None
            self._client.overflowed()
            return
        if not self._unsent and self._client is not None:
            self._connection.loop.call_soon(self._flush)
        self._unsent.append(encoded)

    def ping(self) -> None:
        self.write(HEARTBEAT)

    @property
    def congested(self) -> bool:
        return self._flow.write_paused

    async def drained(self) -> None:
        await self._flow.drain()

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._unsent))

    def close(self) -> None:
        self._closing = True
        if self._client is not None:
            self._finish()

    def abort(self) -> None:
        self._closing = True
        self._unsent.clear()
        self._transport.abort()

    async def run(self, client: Client) -> None:
        self._client = client
        self._flush()
        if self._closing:
            self._finish()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        client.ended(LOST)

    def _flush(self) -> None:
        body = b"".join(self._unsent)
        self._unsent.clear()
        if body and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(body), body) if self._in_chunks else body)
            if not self._transport.get_write_buffer_size():
                assert self._client is not None
                self._client.heard()

    def _finish(self) -> None:
        self._flush()
        if not self._transport.is_closing():
            if self._in_chunks:
                self._transport.write(b"0\r\n\r\n")
            self._transport.close()
