"""The load: many bare sockets in a process of its own, told on stdin what to do, one JSON object a line.

A client library would take longer to read a message than the service to send it. This one looks at nothing but the
lengths of frames, masks with zeros, and answers the pings it is sent.
"""

import asyncio
import json
import struct
import sys
import time
from array import array
from typing import Any, cast

import uvloop

_HANDSHAKE = (
    "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_AT_ONCE = 10
_PATIENCE = 30.0
_BYSTANDERS, _TALK_SECONDS = 10, 0.01
_IN_QUEUE = 1000
"""Handshakes under way at once: half of what servers let wait, beyond which the kernel would let them try again."""
_PING_FRAME = 0x89


def frame(payload: bytes, opcode: int = 0x81) -> bytes:
    length = len(payload)
    head = struct.pack("!BB", opcode, 128 | length) if length < 126 else struct.pack("!BBH", opcode, 254, length)
    return head + bytes(4) + payload


_PONG_FRAME = frame(b"", 0x8A)
_ANSWERS = {b'{"type":"ping"}': frame(b'{"type":"pong"}'), b"2": frame(b"3")}
"""The application's pings, and Engine.IO's."""


class Socket(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: "Load", target: str, opening: str) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self._load = load
        self._target = target
        self._opening = opening
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(_HANDSHAKE.format(target=self._target).encode())

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            self._handshake(data)
            return
        if self._rest:
            data = self._rest + data
        start, end, messages = 0, len(data), 0
        while end - start >= 2:
            head, length = 2, data[start + 1]
            if length == 126:
                head, length = 4, int.from_bytes(data[start + 2 : start + 4])
            if start + head + length > end:
                break
            if data[start] == _PING_FRAME:
                self.transport.write(_PONG_FRAME)
            elif length < 16 and (answer := _ANSWERS.get(data[start + head : start + head + length])):
                self.transport.write(answer)
            else:
                messages += 1
            start += head + length
        self._rest = data[start:]
        if messages:
            self._load.arrived(messages)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._load.lost += 1
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed in the handshake"))

    def _handshake(self, data: bytes) -> None:
        self._rest += data
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            self.ready.set_exception(ConnectionError(head.decode(errors="replace") + rest.decode(errors="replace")))
            return
        self._rest = b""
        self.ready.set_result(None)
        if self._opening:
            self.transport.write(frame(self._opening.encode()))
        if rest:
            self.data_received(rest)


class Reader(Socket):
    """One that reads server-sent events."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(f"GET {self._target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            if not data.startswith(b"HTTP/1.1 200"):
                self.ready.set_exception(ConnectionError(data.decode(errors="replace")))
            else:
                self.ready.set_result(None)
        elif events := data.count(b"\ndata:"):
            self._load.arrived(events)


class Returning(Socket):
    """One that comes back: it is live when it has its handshake, or the text that tells it so."""

    def __init__(self, load: "Load", target: str, opening: str, live: str) -> None:
        super().__init__(load, target, opening)
        self.await_sign(live)

    def await_sign(self, live: str) -> None:
        self.live = asyncio.get_running_loop().create_future()
        self._sign = live.encode()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.ready.done() and not self.live.done() and self._sign in self._last + data:
            self.live.set_result(None)
        self._last = data[-len(self._sign) :] if self._sign else b""

    _last = b""


class Bystander(Socket):
    """One that says something now and then while others come, and waits for the answer."""

    async def talk(self, message: str, latencies: "array[float]") -> None:
        data = frame(message.encode())
        while True:
            self.answered = asyncio.get_running_loop().create_future()
            sent_at = time.perf_counter()
            self.transport.write(data)
            await self.answered
            latencies.append(time.perf_counter() - sent_at)
            await asyncio.sleep(_TALK_SECONDS)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.ready.done() and not self.answered.done():
            self.answered.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.answered = asyncio.get_running_loop().create_future()
        super().connection_made(transport)


class Load:
    """All connections, and what has arrived since the last phase began."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.received = 0
        self.lost = 0
        self.sent_at = 0.0
        self.latencies = array("d")
        self._talking: list[asyncio.Task[None]] = []
        self._talks = array("d")

    def arrived(self, messages: int) -> None:
        self.received += messages
        self.latencies.append(time.perf_counter() - self.sent_at)

    async def open(self, host: str, port: int, targets: list[str], opening: str, by: str) -> dict[str, Any]:
        """Connect one socket to each target, a few at a time."""
        loop = asyncio.get_running_loop()
        waiting = iter(targets)
        kind = {"socket": Socket, "events": Reader}[by]

        async def connect() -> None:
            for target in waiting:
                socket = kind(self, target, opening)
                await loop.create_connection(lambda one=socket: one, host, port)  # type: ignore[misc]
                await socket.ready
                self.sockets.append(socket)

        async with asyncio.timeout(_PATIENCE):
            await asyncio.gather(*(connect() for _ in range(_AT_ONCE)))
        return {"open": len(self.sockets)}

    async def bystand(self, host: str, port: int, target: str, opening: str, message: str) -> dict[str, Any]:
        """Ten that talk from now on, whoever comes."""
        for _ in range(_BYSTANDERS):
            socket = Bystander(self, target, opening)
            await asyncio.get_running_loop().create_connection(lambda one=socket: one, host, port)  # type: ignore[misc]
            await socket.ready
            self.sockets.append(socket)
            self._talking.append(asyncio.create_task(socket.talk(message, self._talks)))
        await asyncio.sleep(0.5)
        return {}

    async def storm(self, host: str, port: int, targets: list[str], opening: str, live: str) -> dict[str, Any]:
        """All targets come at once, or as many as a server lets wait."""
        loop = asyncio.get_running_loop()
        room = asyncio.Semaphore(_IN_QUEUE)

        async def come(socket: Returning) -> None:
            async with room:
                await loop.create_connection(lambda: socket, host, port)
                await socket.ready
            self.sockets.append(socket)
            await socket.live

        del self._talks[:]
        start = time.perf_counter()
        async with asyncio.timeout(3 * _PATIENCE):
            await asyncio.gather(*(come(Returning(self, target, opening, live)) for target in targets))
        seconds = time.perf_counter() - start
        latencies = sorted(self._talks) or [0.0]  # where nobody stood by
        while self._talking:
            self._talking.pop().cancel()
        return {"seconds": seconds, "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)]}

    async def ask(self, message: str, sign: str) -> dict[str, Any]:
        """Everybody who came back says the same at once, and waits for a text."""
        data = frame(message.encode())
        asking = [socket for socket in self.sockets if isinstance(socket, Returning)]
        self.received = 0
        start = time.perf_counter()
        for socket in asking:
            socket.await_sign(sign)
            socket.transport.write(data)
        async with asyncio.timeout(3 * _PATIENCE):
            await asyncio.gather(*(socket.live for socket in asking))
        return {"seconds": time.perf_counter() - start, "received": self.received}

    async def close(self) -> dict[str, Any]:
        for socket in self.sockets:
            socket.transport.abort()
        self.sockets.clear()
        return {}

    async def send(self, senders: int, message: str, rate: float, seconds: float, answers: int) -> dict[str, Any]:
        """`rate` times a second, send `message` on the first `senders` sockets; each brings `answers` frames."""
        data = frame(message.encode())
        self.received, self.lost, self.latencies = 0, 0, array("d")
        rounds = max(1, round(rate * seconds))
        start, busy = time.perf_counter(), time.process_time()
        for number in range(rounds):
            await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
            self.sent_at = time.perf_counter()
            for socket in self.sockets[:senders]:
                socket.transport.write(data)
        expected = rounds * senders * answers
        deadline = time.perf_counter() + _PATIENCE
        while self.received < expected and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        wall = time.perf_counter() - start
        latencies = sorted(self.latencies)
        return {
            "messages": rounds * senders,
            "expected": expected,
            "received": self.received,
            "lost": self.lost,
            "busy": (time.process_time() - busy) / wall,
            "p50_ms": 1000 * latencies[len(latencies) // 2],
            "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
        }


async def main() -> None:
    load = Load()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        answer = await getattr(load, command.pop("do"))(**command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
