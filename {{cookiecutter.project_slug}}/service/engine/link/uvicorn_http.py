"""HTTP on uvicorn, as RFC 9112 has it where uvicorn has not, and with limits that its parser has not.

- What surrounds a body is limited: otherwise anybody could fill the memory, by headers or by trailers, without a token.
- What is a WebSocket handshake is decided here, once, on a head that is read here, once; the link gets it as it is. It
  waits for the answers that are due before its own.
- Any other `Upgrade` is read as if it were not there (RFC 9110 §7.8). The parser stops at each and skips the body.
"""

from asyncio import Transport
from http import HTTPStatus
from weakref import ref

import httptools
import structlog
from starlette.datastructures import Headers
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.engine.foundation.wire import Error
from service.engine.link.handshake_head import Handshake
from service.engine.link.handshake_refusal import refusal_of
from service.engine.link.server_sent_socket import EXTENSION
from service.engine.link.socket_link import SocketLink
from service.engine.link.upgrade import Server, client_of, serve
from service.engine.link.uvicorn_http_times import TimedHttpProtocol

_MOST_AROUND_BODY = 65_536
"""Bytes of head, chunk sizes and trailers. The body itself is for `BodyLimit` to count."""
_LINGER = 1.0
"""Seconds that a client gets to take the answer to what cannot be read; closing at once could reset it away."""

_logger = structlog.get_logger(__name__)


class _Unreadable(Exception):
    """What has arrived is no request that can be answered otherwise than by this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class BoundedHttpProtocol(TimedHttpProtocol):
    """One client's socket, until it is a WebSocket's."""

    link_class: type[SocketLink]
    _around_body = 0
    _head = 0
    """Bytes of the head, as far as it is read."""
    _withheld: tuple[tuple[bytes, bytes], ...] = ()
    """Headers of the request that the parser is not shown."""
    _in_body = False
    """Whether `self.cycle` answers a request whose end is to come."""
    _is_handshake = False
    """Whether the head was one, whose turn to be answered may be to come."""
    _early = b""
    """What came after the handshake that waits."""
    _is_over = False
    """Whether what arrives is not read any more."""

    # What asyncio calls

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = client_of(transport)

    def data_received(self, data: bytes) -> None:
        arrived = len(data)
        if self._is_handshake:
            self._early += data
        while data and not self._is_handshake and not self._is_over:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                data = self._upgrade_asked_for(data[stopped.args[0] :])
            except httptools.HttpParserError as error:
                reason = error.__context__
                self._refuse(reason.status if isinstance(reason, _Unreadable) else 400)
            else:
                data = b""
        if self.is_arriving or self._early:  # there is more to come
            self._around_body += arrived
            if self._around_body > _MOST_AROUND_BODY:
                self._refuse(431)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_handshake = False
        super().connection_lost(exc)

    # What the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._around_body = self._head = 0

    def on_url(self, url: bytes) -> None:
        self._count(url, too_large=414)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name, value, too_large=431)
        super().on_header(name, value.rstrip(b" \t"))  # the parser leaves it on the right (RFC 9112 §5.1)

    def on_headers_complete(self) -> None:
        self.headers += self._withheld
        self._withheld = ()
        version = self.parser.get_http_version()
        if not version.startswith("1."):
            raise _Unreadable(505)
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110 §10.1.1
        if self.parser.get_method() == b"CONNECT":
            raise _Unreadable(501)
        if coding := b",".join(value for name, value in self.headers if name == b"transfer-encoding"):
            self._check_coding(coding, version)
        if not self.url.startswith((b"/", b"*")):
            self._read_absolute_form()
        super().on_headers_complete()
        self._in_body = not self.parser.should_upgrade()
        if self._in_body:
            self.scope["extensions"] = {EXTENSION: {"connection": self, "answer": ref(self.cycle)}}

    def on_body(self, body: bytes) -> None:
        self._around_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        """Every request that asks for another protocol stops the parser; what it is, is decided then."""
        return True

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whoever has said all, and goes on listening, gets the answers that are due; returns whether there are any."""
        is_due = bool(self.unanswered) and not self._in_body and not self._is_over
        self._is_over = True
        self._is_handshake = False
        self.stop_waiting()
        return is_due

    # What is asked for

    def _check_coding(self, coding: bytes, version: str) -> None:
        """Chunks, and nothing but chunks, are understood (RFC 9112 §6.1, §7)."""
        codings = [each.strip().lower() for each in coding.split(b",")]
        if version == "1.0" or codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
            raise _Unreadable(400)
        if len(codings) > 1:
            raise _Unreadable(501)

    def _read_absolute_form(self) -> None:
        """Its host counts, and not that of the header (RFC 9112 §3.2.2)."""
        url = httptools.parse_url(self.url)
        if not url.host:
            raise _Unreadable(400)
        host = b"[%b]" % url.host if b":" in url.host else url.host
        authority = b"%b:%d" % (host, url.port) if url.port else host
        self.url = (url.path or b"/") + (b"?" + url.query if url.query else b"")
        if sum(name == b"host" for name, _ in self.headers) == 1:
            self.headers[:] = [(name, authority if name == b"host" else value) for name, value in self.headers]

    def _upgrade_asked_for(self, rest: bytes) -> bytes:
        """Deal with a head that the parser stopped after; returns what it is to read next."""
        method, version = self.scope["method"], self.scope["http_version"]
        if refusal_of(method, version, Headers(raw=self.headers)) is None:
            self._is_handshake = True
            self._early = rest
            if not self.unanswered:
                self._hand_over()
            return b""
        self.parser = type(self.parser)(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        shown = [header for header in self.headers if header[0] != b"upgrade"]
        self._withheld = tuple(header for header in self.headers if header[0] == b"upgrade")
        head = b"".join(b"%b: %b\r\n" % header for header in shown)
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method.encode(), self.url, version.encode(), head) + rest

    def _hand_over(self) -> None:
        self._is_handshake = False
        self.stop_timers()
        self.flow.resume_reading()
        early, self._early = self._early, b""
        self.connections.discard(self)
        server = Server(self.config, self.server_state, self.app_state, self.loop)
        link = self.link_class(self.loop, self.connections)
        link.connection_made(self.transport)
        self.transport.set_protocol(link)
        serve(server, link, Handshake(self.url, self.headers, early))
        del self.parser, self.cycle  # they refer to us: without cycles all goes now, not when garbage is collected

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.unanswered or self.transport.is_closing():
            return
        if self._is_handshake:
            self._hand_over()
        elif self._is_over:
            self.transport.close()

    # What a link of server-sent events calls

    def answer_without_end(self, answer: RequestResponseCycle) -> bool:
        self._is_over = True
        self.stop_waiting()
        self.pipeline.clear()
        self.cycle = answer  # which is told when the client has gone
        self.flow.resume_reading()  # or nobody would notice
        if self.scope["http_version"] == "1.0":  # RFC 9112 §6.1: it knows no chunks, and the end is the connection's
            answer.chunked_encoding = False
        return answer.chunked_encoding is None

    # What cannot be read

    def give_up(self) -> None:
        if self._around_body:
            self._refuse(408)
        else:  # nothing has come at all
            super().give_up()

    def _count(self, *parts: bytes, too_large: int) -> None:
        """Refuse a head that came in one piece, before the length of the piece is looked at."""
        for part in parts:
            self._head += len(part)
        if self._head > _MOST_AROUND_BODY:
            raise _Unreadable(too_large)

    def _refuse(self, status: int) -> None:
        """Answer with a problem, if it is this request's turn to be answered, and close."""
        _logger.info("request_refused", status=status, client=self.client and self.client[0])
        self._is_over = True
        self._is_handshake, self._early = False, b""
        self.stop_waiting()
        in_body = self._in_body  # or in the head of one after it
        if self.unanswered and (self.pipeline or not in_body):
            self.cycle.keep_alive = False  # others come first, and are the last
        elif self.transport.is_closing() or (in_body and self.cycle.response_started):
            self.transport.abort()
        else:
            if self.unanswered:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            self.transport.write(_problem(status, self.server_state.default_headers))
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(_LINGER, self.transport.abort)


def http_class(link_class: type[SocketLink]) -> type[BoundedHttpProtocol]:
    """The class for a service's HTTP, whose WebSockets are links of `link_class`."""
    return type("ConfiguredHttpProtocol", (BoundedHttpProtocol,), {"link_class": link_class})


def _problem(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    phrase = HTTPStatus(status).phrase
    body = Error(code=phrase.lower().replace(" ", "_").replace("-", "_"), message=f"{phrase}.").encode()
    own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % header for header in [*headers, *own])
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, phrase.encode(), lines, body)
