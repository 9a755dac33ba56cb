"""The link that is the protocol of its own socket, from the handshake on.

- Reading goes on while a handler is busy, so pongs and closes are seen.
- A closing handshake that the client does not finish ends with `abort()`, never with a flush that cannot come.
- Frames that a client is due in one turn of the event loop leave together, in one system call.
- What was said before a frame that breaks the rules is handled and answered first.
"""

import asyncio
from asyncio.transports import Transport
from collections.abc import Coroutine
from time import monotonic
from typing import Any

from service.engine.foundation.endings import LOST, RESTARTING
from service.engine.foundation.frames import PING_FRAME, Frame, close_frame, close_payload, pong_frame
from service.engine.link.answers import Headers, switching
from service.engine.link.flushing import Flushing
from service.engine.link.link import Receiver
from service.engine.link.reader import BINARY, CLOSE, PING, BrokenRules, FrameReader, code_of

_LINGER = 2.0
"""Seconds that a client gets to take our answer to its own close, or the reason why we broke with it."""
_HIGH_WATER = 65_536
"""Bytes waiting to be sent from which a link is congested (asyncio's default)."""
_LONG_READ = 16_384
"""Bytes in one read from which a client may be sending without pause."""
_REST = 9
"""How much longer than such a read took we let others have their turn: so one client gets a tenth of the time."""
_MOST_UNSENT = 16
"""How many frames may wait for the end of the loop's turn; with the next limit, never more than `_HIGH_WATER`."""
_LARGE_FRAME = 4096
"""Bytes; a larger frame does not wait, nor does what came before it."""
_MOST_EARLY = 65_536
"""Bytes that are read of a client that does not wait for our answer to its handshake (RFC 6455 §4.1)."""
_WRITABLE = asyncio.Event()
"""Stands for the event of a link that was never congested, which would cost each half a KiB; never cleared."""
_WRITABLE.set()


class SocketLink(asyncio.Protocol):
    """A `Link`. Until its handshake is answered, it keeps what comes early."""

    can_ping = True
    max_outbox_bytes = 1_048_576
    max_message_bytes = 65_536
    _flushing: Flushing

    __slots__ = (
        "_early", "_is_open", "_key", "_life", "_open_links", "_reader", "_reading_paused", "_timer", "_unsent",
        "_writable", "_write_paused", "loop", "receiver", "transport",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, open_links: set[Any]) -> None:
        """`open_links` has the link as long as its socket is open."""
        self.loop = loop
        self._open_links = open_links
        self._key: bytes | None = None
        """The client's `Sec-WebSocket-Key`, as long as the handshake is not answered."""
        self._early = b""
        self._life: Coroutine[Any, Any, None] | None = None
        self.receiver: Receiver | None = None
        self._reader: FrameReader | None = None
        """As long as the client is listened to."""
        self._is_open = self._reading_paused = self._write_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._unsent: list[bytes] = []
        self._writable = _WRITABLE

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._open_links.add(self)

    # The handshake

    def asked(self, key: bytes, early: bytes) -> None:
        """The client's handshake has come, with this `Sec-WebSocket-Key`, and `early` after it."""
        self._key, self._early = key, early
        self.transport.set_write_buffer_limits(high=min(_HIGH_WATER, self.max_outbox_bytes))

    @property
    def answered(self) -> bool:
        """Whether the handshake is, or need not be any more."""
        return self._key is None

    async def run(self, life: Coroutine[Any, Any, None]) -> None:
        self._life = life

    @property
    def has_life(self) -> bool:
        """Whether what has to be awaited next was given."""
        return self._life is not None

    def taken_life(self) -> Coroutine[Any, Any, None] | None:
        """What `run` was given, for the server to await or to close."""
        life, self._life = self._life, None
        return life

    async def accept(self, receiver: Receiver, subprotocol: str | None, headers: Headers = ()) -> None:
        if self._key is None:
            receiver.ended(LOST)
            return
        self.transport.write(switching(self._key, subprotocol, headers))
        self._key = None
        self.receiver = receiver
        self._reader = FrameReader(self.max_message_bytes)
        self._is_open = True
        early, self._early = self._early, b""
        self.resume_reading()
        if early:
            self._read(early)

    def refuse(self, answer: bytes) -> None:
        """Answer with HTTP, and go on reading until the client has taken it: closing now could reset it away."""
        if self._key is not None:
            self._key, self._early = None, b""
            self.transport.write(answer)
            self.resume_reading()
            self._finish_writing()

    # What the engine calls

    def write(self, frame: Frame) -> None:
        if not self._is_open:
            return
        wire = frame.wire
        if self._write_paused and self.buffered() + len(wire) > self.max_outbox_bytes:
            assert self.receiver is not None
            self.receiver.overflowed()
            return
        unsent = self._unsent
        unsent.append(wire)
        if len(wire) > _LARGE_FRAME or len(unsent) == _MOST_UNSENT:
            self.flush()
        elif len(unsent) == 1:
            self._flushing.flush_at_end(self)

    def flush(self) -> None:
        """Send what was gathered in this turn of the event loop."""
        if unsent := self._unsent:
            self._unsent = []
            self.transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def ping(self) -> None:
        if self._is_open:
            self._write_now(PING_FRAME)

    @property
    def congested(self) -> bool:
        return self._write_paused

    async def drained(self) -> None:
        await self._writable.wait()

    def buffered(self) -> int:
        return self.transport.get_write_buffer_size() + sum(map(len, self._unsent))

    def pause_reading(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()

    def close(self, code: int, reason: str, abort_after: float) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._write_now(close_frame(close_payload(code, reason)))
        self.resume_reading()
        if self._reader is None:  # it broke the rules, and its close would not be understood
            self._finish_writing()
        else:
            self._abort_after(abort_after)

    def abort(self) -> None:
        self._is_open = False
        self._unsent.clear()
        self.transport.abort()

    async def finish(self) -> None:
        """The transport writes by itself, and a timer ends the closing handshake."""

    # What the event loop and the server call

    def data_received(self, data: bytes) -> None:
        if self._reader is not None:
            self._read(data)
        elif self._key is not None:
            self._early += data
            if len(self._early) > _MOST_EARLY:
                self.pause_reading()

    def eof_received(self) -> None:
        """The loop closes the transport; a client that does not read either would keep it from that."""
        self._end(LOST)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._open_links.discard(self)
        self._key, self._early = None, b""
        self._is_open = False
        self._unsent.clear()
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell_end(LOST)
        self.receiver = self._reader = None  # it refers to us: without the cycle all goes at once

    def pause_writing(self) -> None:
        self._write_paused = True
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        self._write_paused = False
        self._writable.set()

    def shutdown(self) -> None:
        """The server stops, and does not wait."""
        if self._key is not None:
            self.transport.abort()
        if self._is_open:
            self.close(RESTARTING.code, RESTARTING.reason, _LINGER)
            self._tell_end(RESTARTING.code)
        self.transport.close()

    # Its own

    def _read(self, data: bytes) -> None:
        receiver, reader = self.receiver, self._reader
        assert receiver is not None
        assert reader is not None
        began = monotonic()
        receiver.heard(began)
        try:
            for opcode, payload in reader.read(data):
                if opcode <= BINARY:
                    if self._is_open:
                        receiver.received(payload, began)
                elif opcode == PING:
                    if self._is_open and not self._write_paused:  # a client that does not read gets no pongs piled up
                        self._write_now(pong_frame(payload))  # type: ignore[arg-type]
                elif opcode == CLOSE:
                    self._closed_by_client(payload)  # type: ignore[arg-type]
                    return
        except BrokenRules as broken:
            self._reader = None
            if self._is_open:
                receiver.broke(broken.code, broken.reason)
        if len(data) > _LONG_READ and not self._reading_paused:  # take turns: the loop would read on from here first
            self.pause_reading()
            self.loop.call_later(_REST * (monotonic() - began), self.resume_reading)

    def _closed_by_client(self, payload: bytes) -> None:
        code = code_of(payload)
        self._reader = None
        if self._is_open:
            self._write_now(close_frame(payload))
            self._end(code, payload[2:].decode())
        self.transport.close()

    def _end(self, code: int, reason: str = "") -> None:
        self.flush()
        self._is_open = False
        self._abort_after(_LINGER)
        self._tell_end(code, reason)

    def _tell_end(self, code: int, reason: str = "") -> None:
        if self.receiver is not None:
            self.receiver.ended(code, reason)

    def _finish_writing(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._abort_after(_LINGER)

    def _abort_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _write_now(self, wire: bytes) -> None:
        self.flush()
        self.transport.write(wire)


def link_class(max_outbox_bytes: int, max_message_bytes: int) -> type[SocketLink]:
    """The class of this process's links."""
    attributes = {
        "max_outbox_bytes": max_outbox_bytes,
        "max_message_bytes": max_message_bytes,
        "_flushing": Flushing(),
        "__slots__": (),
    }
    return type("ConfiguredSocketLink", (SocketLink,), attributes)
