"""The two answers to an opening handshake, as they go out (RFC 6455 §4.2.2)."""

import base64
import hashlib
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus

from service.engine.foundation.wire import Refused

Headers = Iterable[tuple[bytes, bytes]]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%b\r\n"


def switching(key: bytes, subprotocol: str | None, headers: Headers = ()) -> bytes:
    """The handshake with this `Sec-WebSocket-Key` is accepted."""
    proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    lines = b"Sec-WebSocket-Accept: %b\r\n" % proof
    if subprotocol:
        lines += b"Sec-WebSocket-Protocol: %b\r\n" % subprotocol.encode("latin-1")
    return _SWITCHING % (lines + _lines(headers))


def refusing(status: int, headers: Headers, body: bytes) -> bytes:
    """It is answered with HTTP instead, and nothing follows."""
    ours = {b"date": formatdate(usegmt=True).encode(), b"content-length": b"%d" % len(body), b"connection": b"close"}
    theirs = [(name, value) for name, value in headers if name.lower() not in ours]
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, _phrase(status), _lines([*theirs, *ours.items()]), body)


def refusing_alone(status: int) -> bytes:
    """What the server says for an application that does not."""
    code = "internal_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_handshake"
    body = Refused(code=code, message=f"{_phrase(status).decode()}.", close_code=1008).encode()
    return refusing(status, [(b"content-type", b"application/json")], body)


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
