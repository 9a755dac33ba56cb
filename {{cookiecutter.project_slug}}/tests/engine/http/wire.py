"""A TCP connection on which a test says HTTP byte by byte, and reads the answers one by one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from tests.engine.kit.raw import TEXT, frame
from tests.engine.kit.running import HOST, Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

PATIENCE = 10.0
HANDSHAKE = {
    "Host": HOST,
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
PING = frame(TEXT, b'{"type":"ping"}')
_PONG = b'\x81\x0f{"type":"pong"}'


@dataclass
class Answer:
    """One answer of a server."""

    version: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of a header, of each of its lines."""
        return [value for found, value in self.headers if found == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def problem(self) -> tuple[int, str]:
        return self.status, json.loads(self.body)["code"]

    @property
    def message(self) -> str:
        return str(json.loads(self.body)["message"])


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *parts: bytes) -> None:
        self._writer.write(b"".join(parts))
        await self._writer.drain()

    def say_no_more(self) -> None:
        """Close one half of the connection, as `nc -N` does."""
        self._writer.write_eof()

    async def answer(self, *, to: str = "GET", within: float = PATIENCE) -> Answer:
        """The next answer; the method that it answers says whether it has a body."""
        async with asyncio.timeout(within):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            version, status = first.split(" ")[:2]
            pairs = [line.partition(":")[::2] for line in lines]
            answer = Answer(version, int(status), [(name.lower(), value.strip()) for name, value in pairs], b"")
            if to != "HEAD" and answer.status >= 200:
                answer.body = await self._reader.readexactly(int(*answer.all("content-length")))
            return answer

    async def until(self, end: bytes, within: float = PATIENCE) -> bytes:
        """What comes, up to what it ends with."""
        async with asyncio.timeout(within):
            return await self._reader.readuntil(end)

    async def lives(self) -> None:
        """Nothing has come unread, and what is spoken is WebSocket: a ping is answered by exactly a pong."""
        await self.send(PING)
        assert await self.pong()

    async def pong(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            return await self._reader.readexactly(len(_PONG)) == _PONG

    async def ends(self) -> float:
        """Wait until the server closes, which has to say nothing more; returns the seconds it took."""
        started = monotonic()
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                assert await self._reader.read() == b""
        return monotonic() - started


class Server(Protocol):
    """What listens on a port of this machine: a service, or a proxy."""

    @property
    def port(self) -> int: ...


@asynccontextmanager
async def opened(server: Server, host: str = HOST, *, source: str | None = None) -> AsyncIterator[Wire]:
    """Connect, from the address `source` if one is given."""
    local = (source, 0) if source else None
    reader, writer = await asyncio.open_connection(host, server.port, local_addr=local)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def request(
    method: str = "GET",
    target: str = "/healthz",
    *lines: str,
    version: str = "1.1",
    host: str = HOST,
    body: bytes = b"",
) -> bytes:
    """A request by hand; with a body it names its length."""
    length = [f"Content-Length: {len(body)}"] if body else []
    head = [f"{method} {target} HTTP/{version}", *([f"Host: {host}"] if host else []), *lines, *length]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def handshake(
    target: str = "/ws/letters", *lines: str, method: str = "GET", version: str = "1.1", **changed: str | None
) -> bytes:
    """A handshake of user 7 with other or, by None, without some of its headers (`Sec_WebSocket_Key=None`)."""
    changes: dict[str, Any] = {name.replace("_", "-"): value for name, value in changed.items()}
    headers = HANDSHAKE | {"Authorization": f"Bearer {token(7)}"} | changes
    kept = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"{method} {target} HTTP/{version}", *kept, *lines, "", ""]).encode("latin-1")


async def answer_to(server: Server, data: bytes, *, source: str | None = None) -> Answer:
    """The answer to one request on a connection of its own."""
    async with opened(server, source=source) as wire:
        await wire.send(data)
        return await wire.answer(to=data.split(b" ")[0].decode())


async def line_of(service: Service, **fields: Any) -> dict[str, Any]:
    """The one line of the log that has these fields, as soon as it is written."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = [line for line in service.log_lines() if fields.items() <= line.items()]
        return bool(found)

    await eventually(is_there, f"there is a line with {fields}")
    (line,) = found
    return line
