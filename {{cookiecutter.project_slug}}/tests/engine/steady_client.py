"""A client as the contract wants it: keeps its position, comes back, sends again what nobody confirmed."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.engine.kit.client import Client, connected

FIRST_DELAY, LONGEST_DELAY = 0.05, 2.0


class SteadyClient:
    """Follows one room and writes into it, on whichever of the addresses lets it in."""

    def __init__(self, addresses: Sequence[str], room: int, user: int) -> None:
        self.user = user
        self.seen: dict[int, int] = {}
        """`seq` → entry id of every entry known, one's own included."""
        self.position = 0
        """Everything up to here is known."""
        self.confirmed: dict[str, int] = {}
        """`client_id` → `seq` of one's own entries."""
        self.connections = 0
        """How often the service let it in."""
        self.out_of_order = 0
        self.twice = 0
        self.problems: list[dict[str, Any]] = []
        self._addresses = list(addresses)
        self._path = f"/ws/rooms/{room}"
        self._unconfirmed: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._client: Client | None = None
        self._delay = 0.0

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            try:
                await self._connection()
                failures = 0
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, EOFError):
                failures += 1
            self._client = None
            jitter = random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(failures, 10)))
            await asyncio.sleep(self._delay or jitter)
            self._delay = 0

    async def write(self, body: str) -> None:
        """Have an entry stored, however many connections that takes; returns without waiting for it."""
        client_id = f"{self.user}-{next(self._numbers)}"
        self._unconfirmed[client_id] = body
        if self._client is not None:
            with suppress(ConnectionClosed):
                await self._send(self._client, client_id)

    @property
    def settled(self) -> bool:
        """Whether every entry of one's own is confirmed."""
        return not self._unconfirmed

    def reset(self) -> None:
        """Lose the connection as a phone in a tunnel does: no close frame, the rest unread."""
        if self._client is not None:
            self._client.websocket.transport.abort()

    async def _connection(self) -> None:
        address = random.choice(self._addresses)
        async with connected(address, self._path, user=self.user, after=self.position) as client:
            self.connections += 1
            latest = self.position
            for client_id in list(self._unconfirmed):
                await self._send(client, client_id)
            self._client = client
            while True:
                message = await client.receive(60)
                match message["type"]:
                    case "entry":
                        self.out_of_order += message["seq"] < latest
                        self.twice += message["seq"] == latest
                        latest = max(latest, message["seq"])
                        self._know(message)
                    case "entry_created":
                        self._unconfirmed.pop(message["client_id"], None)
                        self.confirmed[message["client_id"]] = message["seq"]
                        self._know(message)
                    case "reconnect":
                        self._delay = message["delay_ms"] / 1000
                    case "ping":
                        await client.send({"type": "pong"})
                    case "error":
                        self.problems.append(message)
                        if "client_id" in message:
                            await asyncio.sleep(FIRST_DELAY)
                            await self._send(client, message["client_id"])

    async def _send(self, client: Client, client_id: str) -> None:
        if client_id in self._unconfirmed:
            body = self._unconfirmed[client_id]
            await client.send({"type": "new_entry", "body": body, "client_id": client_id})

    def _know(self, message: dict[str, Any]) -> None:
        assert self.seen.setdefault(message["seq"], message["entry_id"]) == message["entry_id"]
        while self.position + 1 in self.seen:
            self.position += 1
