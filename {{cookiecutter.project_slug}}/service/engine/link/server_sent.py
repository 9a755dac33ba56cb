"""The link of server-sent events, through an answer to HTTP that does not end."""

import asyncio
import socket
from asyncio import Transport
from typing import Protocol

from starlette.types import Receive, Scope, Send

from service.engine.foundation.endings import LOST

TRANSPORT = "service.transport"
"""Where in the ASGI scope's extensions our server puts the transport of a request."""

_HIGH_WATER = 65_536
_HEARTBEAT = b":\n\n"


class Client(Protocol):
    """Who is told how it goes; every call returns at once."""

    def heard(self) -> None:
        """Something was sent: the client takes what it is sent."""

    def ended(self, code: int) -> None:
        """The client has gone."""

    def overflowed(self) -> None:
        """More is waiting for this client than its outbox may hold."""


class ServerSentLink:
    """Sends what is written, until it is closed or the client is gone."""

    can_ping = True

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_outbox_bytes: int) -> None:
        self._transport: Transport | None = scope.get("extensions", {}).get(TRANSPORT, {}).get("transport")
        self._receive = receive
        self._send = send
        self._max_outbox_bytes = max_outbox_bytes
        self._client: Client | None = None
        self._outbox: list[bytes] = []
        self._size = 0
        self._closing = self._aborted = False
        self._wanted = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._sending: asyncio.Task[None] | None = None

    def cut_after(self, seconds: float) -> None:
        """Let the kernel drop a client that takes nothing for so long."""
        if self._transport is not None and seconds and hasattr(socket, "TCP_USER_TIMEOUT"):
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))

    def write(self, encoded: bytes) -> None:
        """Send something as soon as the client reads; nothing once the link is closing."""
        if self._closing:
            return
        if self._size + len(encoded) > self._max_outbox_bytes:
            assert self._client is not None
            self._client.overflowed()
            return
        self._outbox.append(encoded)
        self._size += len(encoded)
        if self._size > _HIGH_WATER:
            self._drained.clear()
        self._wanted.set()

    def ping(self) -> None:
        """Send a heartbeat: where nobody takes it, sending comes to a halt."""
        self.write(_HEARTBEAT)

    @property
    def congested(self) -> bool:
        """Whether so much waits to be sent that a sender had better wait too."""
        return not self._drained.is_set()

    async def drained(self) -> None:
        """Wait until the link is no longer congested, or gone."""
        await self._drained.wait()

    def buffered(self) -> int:
        """Bytes waiting to be sent."""
        return self._size

    def close(self) -> None:
        """End the answer when all is sent that was written."""
        self._closing = True
        self._wanted.set()

    def abort(self) -> None:
        """Drop the socket at once, with everything that waits for it."""
        self._aborted = True
        self._outbox.clear()
        self.close()
        if self._transport is not None:
            self._transport.abort()
        elif self._sending is not None:
            self._sending.cancel()

    async def run(self, client: Client) -> None:
        """Send what is written, until the link is closed."""
        self._client = client
        self._sending = asyncio.current_task()
        watching = asyncio.create_task(self._watch(client))
        try:
            await self._send_all(client)
        except asyncio.CancelledError:
            if not self._aborted:
                raise
        except RuntimeError:  # of a transport that is closed, before anybody has said so
            if self._transport is None or not self._transport.is_closing():
                raise
            client.ended(LOST)
        finally:
            self._drained.set()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _send_all(self, client: Client) -> None:
        while self._outbox or not self._closing:
            await self._wanted.wait()
            self._wanted.clear()
            outbox, self._outbox = self._outbox, []
            if outbox:
                body = b"".join(outbox)
                await self._send({"type": "http.response.body", "body": body, "more_body": True})
                self._size -= len(body)
                client.heard()
            if self._size <= _HIGH_WATER:
                self._drained.set()
        await self._send({"type": "http.response.body"})

    async def _watch(self, client: Client) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        client.ended(LOST)
        self.close()
