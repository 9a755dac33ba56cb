"""A plain client of the service: hides nothing that comes, and holds it against the AsyncAPI document."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.typing import Origin, Subprotocol

from tests.engine.kit.schemas import Channel, channel_at
from tests.engine.kit.tokens import token

PATIENCE = 10.0
Message = dict[str, Any]


@dataclass
class Refusal:
    """How the server refused a handshake: an HTTP answer, never an accepted socket that is closed."""

    status: int
    headers: dict[str, str]
    problem: Message

    @property
    def reason(self) -> tuple[int, str, int]:
        return self.status, self.problem["code"], self.problem["close_code"]


@dataclass
class Ending:
    """The last of a connection; code 1006 stands for an end without a close frame."""

    raw: list[str | bytes]
    code: int
    reason: str
    at: float

    @property
    def messages(self) -> list[Message]:
        return [json.loads(message) for message in self.raw]


class Client:
    """One open connection."""

    def __init__(self, websocket: ClientConnection, documented: Channel | None = None) -> None:
        """What comes has to be as it is `documented`."""
        self.websocket = websocket
        self._documented = documented

    async def send(self, message: Any) -> None:
        await self.websocket.send(json.dumps(message))

    async def send_raw(self, data: str | bytes) -> None:
        await self.websocket.send(data)

    async def receive_raw(self, within: float = PATIENCE) -> str | bytes:
        async with asyncio.timeout(within):
            raw = await self.websocket.recv()
        self._check(raw)
        return raw

    async def receive(self, within: float = PATIENCE) -> Message:
        """The next message, which has to be a JSON object."""
        raw = await self.receive_raw(within)
        assert isinstance(raw, str), raw
        message = json.loads(raw)
        assert isinstance(message, dict), raw
        return message

    async def receive_many(self, count: int, within: float = PATIENCE) -> list[Message]:
        async with asyncio.timeout(within):
            return [await self.receive(within) for _ in range(count)]

    async def receive_until(self, type_: str, within: float = PATIENCE) -> list[Message]:
        """Every message up to and with the first of `type_`."""
        messages: list[Message] = []
        async with asyncio.timeout(within):
            while not messages or messages[-1]["type"] != type_:
                messages.append(await self.receive(within))
        return messages

    async def ask(self, message: Any, within: float = PATIENCE) -> Message:
        """Send a message and return the next one that comes."""
        await self.send(message)
        return await self.receive(within)

    async def ending(self, within: float = PATIENCE) -> Ending:
        """Everything that comes until the server closes the connection, and how it does."""
        messages: list[str | bytes] = []
        try:
            async with asyncio.timeout(within):
                while True:
                    messages.append(await self.websocket.recv())
                    self._check(messages[-1])
        except ConnectionClosed as closed:
            frame = closed.rcvd or Close(1006, "")
            return Ending(messages, frame.code, frame.reason, time.monotonic())

    async def closed(self, within: float = PATIENCE) -> tuple[int, str]:
        """Code and reason of the server's close; messages on the way there are dropped."""
        ending = await self.ending(within)
        return ending.code, ending.reason

    async def lives(self) -> None:
        """Nothing has come unread, and the connection is served: a ping is answered by exactly a pong."""
        assert await self.ask({"type": "ping"}) == {"type": "pong"}

    async def close(self) -> None:
        await self.websocket.close()

    def _check(self, raw: str | bytes) -> None:
        if self._documented is not None:
            self._documented.check_raw(raw)


@asynccontextmanager
async def connected(
    address: str,
    path: str,
    *,
    user: int | str | None = None,
    headers: dict[str, str] | None = None,
    subprotocols: list[str] | None = None,
    origin: str | None = None,
    **query: object,
) -> AsyncIterator[Client]:
    """Open a connection; with `user` a token of that user is sent in the `Authorization` header."""
    authorization = {"Authorization": f"Bearer {token(user)}"} if user is not None else {}
    async with open_websocket(
        f"{address}{path}?{urlencode(query)}" if query else f"{address}{path}",
        additional_headers=authorization | (headers or {}),
        subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
        origin=Origin(origin) if origin is not None else None,
        compression=None,
        proxy=None,
        open_timeout=PATIENCE,
        ping_interval=None,
        close_timeout=0.5,
        max_size=None,
        max_queue=None,
    ) as websocket:
        yield Client(websocket, channel_at(address, path))


async def refused(address: str, path: str, **options: Any) -> Refusal:
    """Attempt to connect and return how it was refused."""
    try:
        async with connected(address, path, **options):
            pass
    except InvalidStatus as invalid:
        response = invalid.response
        headers = {name.lower(): value for name, value in response.headers.raw_items()}
        return Refusal(response.status_code, headers, json.loads(response.body))
    raise AssertionError(f"{path} was accepted")
