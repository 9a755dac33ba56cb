"""Readers as the contract wants them: of many streams on one connection, and by server-sent events."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.engine.kit.client import Client, connected
from tests.engine.kit.event_source import EventSource, following

LONGEST_PAUSE = 0.3


class Reader:
    """Stays connected, and knows of each of its streams what came, once and in order."""

    def __init__(self, addresses: Sequence[str], streams: Sequence[str], user: int) -> None:
        self.addresses = list(addresses)
        self.streams = list(streams)
        self.user = user
        self.seen: dict[str, list[tuple[int, int]]] = {stream: [] for stream in streams}
        """`seq` and entry id."""
        self.connections = 0

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            with suppress(ConnectionClosed, InvalidHandshake, OSError, TimeoutError, EOFError, httpx.TransportError):
                await self.connection(random.choice(self.addresses))
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE))

    async def connection(self, address: str) -> None:
        """Follow from where it is until the connection ends."""
        raise NotImplementedError

    def reset(self) -> None:
        """Lose the connection as a phone in a tunnel does."""
        raise NotImplementedError

    def position(self, stream: str) -> int:
        return self.seen[stream][-1][0] if self.seen[stream] else 0

    def know(self, stream: str, entry: dict[str, Any]) -> None:
        assert entry["seq"] == self.position(stream) + 1, f"{entry['seq']} after {self.position(stream)} of {stream}"
        self.seen[stream].append((entry["seq"], entry["entry_id"]))


class ReaderOfMany(Reader):
    """On `/ws/streams`."""

    _client: Client | None = None

    async def connection(self, address: str) -> None:
        async with connected(address, "/ws/streams", user=self.user) as self._client:
            self.connections += 1
            for stream in self.streams:
                await self._subscribe(self._client, stream)
            while True:
                message = await self._client.receive(60)
                match message["type"]:
                    case "entry":
                        self.know(message["stream"], message)
                    case "error":  # the database is away
                        assert message["code"] == "unavailable", message
                        await asyncio.sleep(LONGEST_PAUSE)
                        await self._subscribe(self._client, message["stream"])
                    case "reconnect":
                        return
                    case "ping":
                        await self._client.send({"type": "pong"})

    async def _subscribe(self, client: Client, stream: str) -> None:
        await client.send({"type": "subscribe", "stream": stream, "after": self.position(stream)})

    def reset(self) -> None:
        if self._client is not None:
            self._client.websocket.transport.abort()


class ReaderOfEvents(Reader):
    """Of one stream, by server-sent events."""

    _reading: asyncio.Task[None] | None = None

    async def connection(self, address: str) -> None:
        (stream,) = self.streams
        last = {"Last-Event-ID": str(self.position(stream))}
        async with following(address, stream, user=self.user, headers=last) as source:
            if source.answer.status_code == 200:
                self.connections += 1
                self._reading = asyncio.create_task(self._read(stream, source))
                try:
                    await asyncio.wait({self._reading})  # which a reset cancels
                finally:
                    self._reading.cancel()
                    await asyncio.gather(self._reading, return_exceptions=True)
                if not self._reading.cancelled() and isinstance(error := self._reading.exception(), AssertionError):
                    raise error

    async def _read(self, stream: str, source: EventSource) -> None:
        while True:
            event = await source.receive(60)
            if event.event == "entry":
                assert event.id == str(event.data["seq"])
                self.know(stream, event.data)
            elif event.event == "reconnect":
                return

    def reset(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
