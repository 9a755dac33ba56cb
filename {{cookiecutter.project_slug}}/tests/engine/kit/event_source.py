"""A plain reader of server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.engine.kit.client import PATIENCE
from tests.engine.kit.http_client import http_client
from tests.engine.kit.tokens import token


@dataclass
class ServerSent:
    """One event: its fields as they came, `data` read as JSON."""

    event: str
    data: Any
    id: str | None
    retry: str | None


class EventSource:
    """One open answer."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.heartbeats = 0
        self._lines = answer.aiter_lines()

    async def receive(self, within: float = PATIENCE) -> ServerSent:
        """The next event; raises EOFError at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(within):
            while True:
                line = await anext(self._lines, None)
                if line is None:
                    raise EOFError
                if line.startswith(":"):
                    self.heartbeats += 1
                elif line:
                    name, _, value = line.partition(":")
                    assert name not in fields, f"{name} came twice in one event"
                    fields[name] = value.removeprefix(" ")
                elif fields:
                    break
        data = json.loads(fields["data"])
        assert data["type"] == fields["event"]
        return ServerSent(fields["event"], data, fields.get("id"), fields.get("retry"))

    async def receive_many(self, count: int, within: float = PATIENCE) -> list[ServerSent]:
        async with asyncio.timeout(within):
            return [await self.receive() for _ in range(count)]

    async def rest(self, within: float = PATIENCE) -> list[ServerSent]:
        """Everything until the server ends the answer."""
        found = []
        try:
            while True:
                found.append(await self.receive(within))
        except EOFError:
            return found


@asynccontextmanager
async def following(
    address: str, name: str, *, user: int | str | None = None, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[EventSource]:
    """Follow a stream; with `user` a token of that user is sent in the `Authorization` header."""
    authorization = {"Authorization": f"Bearer {token(user)}"} if user is not None else {}
    async with (
        http_client(address, timeout=httpx.Timeout(PATIENCE, read=None)) as http,
        http.stream(
            "GET", f"/api/streams/{name}/events", headers=authorization | (headers or {}), params=query
        ) as answer,
    ):
        if answer.status_code != 200:
            await answer.aread()
        yield EventSource(answer)
