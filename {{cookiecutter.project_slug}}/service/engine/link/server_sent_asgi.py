"""The link of server-sent events on any ASGI server."""

import asyncio

from starlette.types import Receive, Send

from service.engine.foundation.endings import LOST
from service.engine.link.server_sent import HEARTBEAT, HIGH_WATER, Client, Headers


class AsgiServerSentLink:
    """A `ServerSentLink`."""

    can_ping = True

    def __init__(self, receive: Receive, send: Send, max_outbox_bytes: int) -> None:
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

    async def start(self, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def write(self, encoded: bytes) -> None:
        if self._closing:
            return
        if self._size + len(encoded) > self._max_outbox_bytes:
            assert self._client is not None
            self._client.overflowed()
            return
        self._outbox.append(encoded)
        self._size += len(encoded)
        if self._size > HIGH_WATER:
            self._drained.clear()
        self._wanted.set()

    def ping(self) -> None:
        self.write(HEARTBEAT)

    @property
    def congested(self) -> bool:
        return not self._drained.is_set()

    async def drained(self) -> None:
        await self._drained.wait()

    def buffered(self) -> int:
        return self._size

    def close(self) -> None:
        self._closing = True
        self._wanted.set()

    def abort(self) -> None:
        self._aborted = True
        self._outbox.clear()
        self.close()
        if self._sending is not None:
            self._sending.cancel()

    async def run(self, client: Client) -> None:
        self._client = client
        self._sending = asyncio.current_task()
        watching = asyncio.create_task(self._watch(client))
        try:
            await self._send_all(client)
        except asyncio.CancelledError:
            if not self._aborted:
                raise
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
            if self._size <= HIGH_WATER:
                self._drained.set()
        await self._send({"type": "http.response.body"})

    async def _watch(self, client: Client) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        client.ended(LOST)
        self.close()
