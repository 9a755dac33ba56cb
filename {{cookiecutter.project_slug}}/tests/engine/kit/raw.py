"""A client that does as it likes: a bare TCP socket, frames made by hand, no answer to anything."""

import asyncio
import base64
import ctypes
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

HOST = "127.0.0.1"
SO_ATTACH_FILTER, BPF_RETURN = 26, 6
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """One frame (RFC 6455 §5.2), right or wrong."""
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65_536:
        head += bytes([mask_bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class RawClient:
    """A socket on which the handshake is done, and nothing else happens unless a test does it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._read = b""

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, port: int, path: str, token: str = "", *, receive_buffer: int | None = None
    ) -> AsyncIterator[Self]:
        """Connect and shake hands; with a small `receive_buffer` the server's writes soon pile up."""
        async with cls.unshaken(port, receive_buffer) as client:
            await client.shake_hands(port, path, token)
            yield client

    @classmethod
    @asynccontextmanager
    async def unshaken(cls, port: int, receive_buffer: int | None = None) -> AsyncIterator[Self]:
        """Connect, and say nothing."""
        with socket.socket() as sock:
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (HOST, port))
            yield cls(sock)

    async def shake_hands(self, port: int, path: str, token: str) -> None:
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {HOST}:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        ]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        await self.send("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._read:
            self._read += await self.read_some()
        head, self._read = self._read.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101"), head

    async def read_some(self, within: float = 10) -> bytes:
        async with asyncio.timeout(within):
            return await asyncio.get_running_loop().sock_recv(self.sock, 65_536)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def send_frame(self, opcode: int, payload: bytes = b"", **options: bool | int) -> None:
        await self.send(frame(opcode, payload, **options))  # type: ignore[arg-type]

    async def read_frame(self, within: float = 10) -> tuple[int, bytes]:
        """Opcode and payload of the next frame of the server."""
        await self._have(2, within)
        length, start = self._read[1], 2
        if length == 126:
            await self._have(4, within)
            length, start = int(struct.unpack("!H", self._read[2:4])[0]), 4
        elif length == 127:
            await self._have(10, within)
            length, start = int(struct.unpack("!Q", self._read[2:10])[0]), 10
        await self._have(start + length, within)
        opcode, payload = self._read[0] & 15, self._read[start : start + length]
        self._read = self._read[start + length :]
        return opcode, payload

    async def _have(self, count: int, within: float) -> None:
        while len(self._read) < count:
            data = await self.read_some(within)
            if not data:
                raise ConnectionResetError("the server has closed the connection")
            self._read += data

    async def close_code(self, within: float = 10) -> int:
        """The code of the server's close frame; 1006 when it ends the connection without one."""
        try:
            while True:
                opcode, payload = await self.read_frame(within)
                if opcode == CLOSE:
                    return int(struct.unpack("!H", payload[:2])[0]) if payload else 1005
        except ConnectionError:
            return 1006

    async def send_what_goes(self, data: bytes) -> None:
        """Send as much as the server takes before it has enough of this client."""
        with suppress(ConnectionError):
            await self.send(data)

    def finish(self) -> None:
        """Say that nothing more will be sent (a half-closed connection)."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def drop_packets(self) -> None:
        """Let the kernel drop whatever comes, as a phone out of reach does: no acknowledgement, no answer. Linux only.

        The filter is one instruction that accepts no byte of a packet (kernel documentation, networking/filter).
        """
        program = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RETURN, 0, 0, 0))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(program)))

    def reset(self) -> None:
        """Leave by a TCP reset instead of a close."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
