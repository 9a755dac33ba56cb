"""The link on uvicorn: a subclass of its WebSocket protocol that puts frames on the socket itself.

It touches what uvicorn does not document, hence `uvicorn_check` and the pinned range in pyproject.toml. What it adds:

- Reading goes on while a handler is busy, so pongs and closes are seen; uvicorn pauses after one message.
- A closing handshake that the client does not finish ends with `abort()`; uvicorn's `close()` waits for a flush that
  never comes to a client that does not read, and so kept the socket, the task and the process alive.
- Frames go to the socket without passing through ASGI messages, which halves the cost of a fan-out; those that a
  client is due in one turn of the event loop leave together, in one system call.
- What was said before a frame that ends the connection is handled; uvicorn drops it.
- The handshake line, which may hold a token, is not logged.
"""

import asyncio
import logging
import socket
from asyncio.transports import BaseTransport
from time import monotonic
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Close, Opcode
from websockets.frames import Frame as ReceivedFrame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from service.engine.foundation.endings import TOO_BIG
from service.engine.foundation.frames import Frame
from service.engine.link.flushing import Flushing
from service.engine.link.handshake_refusal import handshake_refusal
from service.engine.link.link import EXTENSION, Receiver
from service.engine.link.placeholders import NOBODY, WRITABLE

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
_TOO_BIG = ReceivedFrame(Opcode.CLOSE, Close(TOO_BIG.code, TOO_BIG.reason).serialize()).serialize(mask=False)
"""The close frame, in the words of our table; websockets has its own."""
_logger = logging.getLogger("service.uvicorn")
"""Of uvicorn's own lines about sockets; `observability.logs` lets none through below a warning."""


class UvicornLink(WebSocketsSansIOProtocol):
    """A `Link` that is the protocol of its own socket."""

    can_ping = True
    max_outbox_bytes = 1_048_576
    user_timeout = 0.0
    """Seconds after which the kernel gives up on a client that acknowledges nothing; 0 leaves it to the kernel."""
    _flushing: Flushing

    # Thirty attributes are more than instances of one class can share the names of: without slots for the ones that
    # uvicorn sets, each connection would hold a dictionary of 2 KiB.
    __slots__ = (
        "_early", "_is_open", "_receiver", "_unsent", "_write_paused",
        "app", "app_state", "asgi_version", "client", "close_sent", "close_timeout", "close_timer", "config", "conn",
        "connections", "curr_msg_data_type", "default_headers", "disconnected", "frames", "handshake_complete",
        "handshake_initiated", "initial_response", "last_ping_rtt", "logger", "loop", "pending_ping_payload",
        "ping_interval", "ping_sent_at", "ping_timeout", "ping_timer", "pong_timer", "queue", "read_paused", "request",
        "response", "root_path", "scheme", "scope", "server", "tasks", "transport", "writable",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.writable = WRITABLE
        self._receiver: Receiver | None = None
        self._is_open = False
        self._write_paused = False
        self._unsent: list[bytes] = []
        self._early = b""
        self.logger = _logger
        self.conn.logger = _logger
        self.conn.debug = False
        self.conn.reject = handshake_refusal  # type: ignore[assignment, method-assign]

    # What the engine calls

    def attach(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._is_open = not self.disconnected
        del self.scope["extensions"][EXTENSION]
        self.queue = NOBODY  # type: ignore[assignment]
        self.request.headers.clear()  # the parser keeps it for ever
        del self.request, self.response
        self.resume_reading()
        if early := self._early:
            self._early = b""
            self.loop.call_soon(self.data_received, early)

    def write(self, frame: Frame) -> None:
        if not self._is_open:
            return
        wire = frame.wire
        if self._write_paused and self.buffered() + len(wire) > self.max_outbox_bytes:
            assert self._receiver is not None
            self._receiver.overflowed()
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
            self.conn.send_ping(b"")
            self._send_control_frames()

    @property
    def congested(self) -> bool:
        return self._write_paused

    async def drained(self) -> None:
        await self.writable.wait()

    def buffered(self) -> int:
        return self.transport.get_write_buffer_size() + sum(map(len, self._unsent))

    def pause_reading(self) -> None:
        if not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    def close(self, code: int, reason: str, abort_after: float) -> None:
        if not self._is_open:
            return
        self._is_open = False
        if self.conn.state is State.OPEN:  # or the client's close came in the same read, and is answered already
            self.conn.send_close(code, reason)
        self._send_control_frames()
        self.close_sent = True
        self.resume_reading()
        self._abort_after(abort_after)

    def abort(self) -> None:
        self._is_open = False
        self._unsent.clear()
        if self.transport is not None:
            self.transport.abort()

    async def finish(self) -> None:
        """The transport writes by itself, and a timer ends the closing handshake."""

    # What uvicorn calls

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=min(_HIGH_WATER, self.max_outbox_bytes))
        if self.user_timeout and hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int(self.user_timeout * 1000)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def handle_connect(self, event: Request) -> None:
        """The head is read, by `uvicorn_http`: what comes now are frames."""
        self.conn.parser = super(ServerProtocol, self.conn).parse()
        next(self.conn.parser)
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"][EXTENSION] = self  # type: ignore[index, assignment, typeddict-unknown-key, unused-ignore]

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # uvicorn logs a refused handshake as one that the application forgot

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.handshake_complete:
            self._keep_for_later(data)
            return
        if self._receiver is not None:
            self._receiver.heard()
        began = monotonic()
        self.conn.receive_data(data)
        self.handle_events()
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
        if len(data) > _LONG_READ and not self.read_paused:  # take turns: the loop would read on from here first
            self.pause_reading()
            self.loop.call_later(_REST * (monotonic() - began), self.resume_reading)

    def send_receive_event_to_app(self) -> None:
        if self._receiver is None:
            super().send_receive_event_to_app()
            return
        data = b"".join(self.frames)
        self.frames = []
        if not self._is_open:
            return
        if self.curr_msg_data_type == "bytes":
            self._receiver.received(data)
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.conn.fail(1007, "invalid UTF-8")
            self.handle_parser_exception()
        else:
            self._receiver.received(text)

    def handle_cont(self, event: ReceivedFrame) -> None:
        if event.data or event.fin:  # empty fragments cost their sender nothing and must not cost us memory
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.conn.parser_exc is not None:
            return  # the close is in the same queue, and has to come last
        pong = self.conn.data_to_send()
        if not self._write_paused:  # a client that does not read gets no pongs piled up
            self.transport.write(b"".join(pong))

    def handle_close(self, event: ReceivedFrame) -> None:
        self.flush()
        super().handle_close(event)
        assert self.conn.close_rcvd is not None
        self._end(self.conn.close_rcvd.code)

    def handle_parser_exception(self) -> None:
        """Say why, and go on reading until the client has taken it: closing now would reset the connection instead."""
        if self.close_sent:
            self.conn.data_to_send()
            return
        assert self.conn.close_sent is not None
        self.flush()
        last = self.conn.data_to_send()
        if self.conn.close_sent.code == TOO_BIG.code:
            last = [_TOO_BIG if frame[:1] == _TOO_BIG[:1] else frame for frame in last]
        self.transport.write(b"".join(last))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": self.conn.close_sent.code})
        self._end(self.conn.close_sent.code)

    def eof_received(self) -> None:
        super().eof_received()
        self._end(1006)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._is_open = False
        self._unsent.clear()
        if self._receiver is not None:
            self._receiver.ended(1006)
        self._receiver = None  # it refers to us, as the parser does to its owner: without cycles all goes at once
        self.conn.parser.close()

    def shutdown(self) -> None:
        if self.conn.state is State.CLOSING and not self.close_sent:  # uvicorn would send a second close
            self.transport.abort()
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        self.writable = asyncio.Event()
        super().pause_writing()
        self._write_paused = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_paused = False

    def _keep_for_later(self, data: bytes) -> None:
        """A client that does not wait for our answer to its handshake (RFC 6455 §4.1) is understood all the same."""
        self._early += data
        if len(self._early) > _HIGH_WATER:
            self.transport.abort()

    # The way out

    def _end(self, code: int) -> None:
        self.flush()
        self._is_open = False
        self._abort_after(_LINGER)
        if self._receiver is not None:
            self._receiver.ended(code)

    def _abort_after(self, seconds: float) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = None if self.disconnected else self.loop.call_later(seconds, self.transport.abort)

    def _send_control_frames(self) -> None:
        self.flush()
        self.transport.write(b"".join(self.conn.data_to_send()))


def link_class(max_outbox_bytes: int, user_timeout: float) -> type[UvicornLink]:
    """The class to pass to uvicorn as `ws`."""
    attributes = {"max_outbox_bytes": max_outbox_bytes, "user_timeout": user_timeout, "_flushing": Flushing()}
    return type("ConfiguredUvicornLink", (UvicornLink,), attributes)
