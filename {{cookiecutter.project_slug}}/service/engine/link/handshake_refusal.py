"""Why a request opens no WebSocket (RFC 6455 §4.2.1, RFC 9110 §7.8)."""

import binascii
import re
from collections.abc import Iterator

from starlette.datastructures import Headers

from service.engine.foundation.problems import Refusal

_ASKED_FOR = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
_USUAL_CONNECTIONS = {b"Upgrade", b"upgrade", b"keep-alive, Upgrade"}
_USUAL_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""16 bytes in Base64."""
_NO_UPGRADE = "This is a WebSocket endpoint, and the request came without {}: a proxy in between may have removed it."
_OLD_HTTP = "A WebSocket needs HTTP/1.1, and the request came as HTTP/{}: a proxy in between may have changed it."


def refusal_of(method: str, http_version: str, headers: Headers) -> Refusal | None:
    """Why a request for a WebSocket endpoint is no handshake; None if it is one.

    Other protocols next to `websocket` are legal, and so are several lines of a list. Nothing of what came is repeated,
    because it may hold a token.
    """
    if method == "GET" and http_version == "1.1" and is_usual(headers.raw):
        return None
    return next(_faults(method, http_version, headers), None)


def is_usual(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether it is as nearly all clients write it, and so not worth a closer look."""
    found = dict(headers)
    return (
        len(found) == len(headers)
        and found.get(b"upgrade") == b"websocket"
        and found.get(b"connection") in _USUAL_CONNECTIONS
        and found.get(b"sec-websocket-version") == b"13"
        and _USUAL_KEY.fullmatch(found.get(b"sec-websocket-key", b"")) is not None
        and b"content-length" not in found
        and b"transfer-encoding" not in found
    )


def _faults(method: str, http_version: str, headers: Headers) -> Iterator[Refusal]:
    if method != "GET":
        yield _refusal(405, "invalid_handshake", "A WebSocket is opened by GET.", Allow="GET, HEAD")
    if http_version != "1.1":
        yield _refusal(426, "upgrade_required", _OLD_HTTP.format(http_version[:3]))
    for name, token in (("Upgrade", "websocket"), ("Connection", "upgrade")):
        if token not in _tokens(headers, name):
            yield _refusal(426, "upgrade_required", _NO_UPGRADE.format(f"`{name}: {token}`"))
    versions = headers.getlist("sec-websocket-version")
    if len(versions) != 1:
        yield _refusal(400, "invalid_handshake", "Sec-WebSocket-Version must be there once.")
    if versions != ["13"]:
        yield _refusal(426, "invalid_handshake", "The only version of WebSocket here is 13 (RFC 6455).")
    if not _is_key(headers.getlist("sec-websocket-key")):
        yield _refusal(400, "invalid_handshake", "Sec-WebSocket-Key must be there once: 16 bytes in Base64.")
    if len(headers.getlist("origin")) > 1:
        yield _refusal(400, "invalid_handshake", "Origin may be there once.")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        yield _refusal(400, "invalid_handshake", "A handshake has no body.")


def _refusal(status: int, code: str, message: str, **headers: str) -> Refusal:
    return Refusal(status, code, message, close_code=1008, headers=_ASKED_FOR | headers)


def _tokens(headers: Headers, name: str) -> set[str]:
    return {token.strip().lower() for value in headers.getlist(name) for token in value.split(",")}


def _is_key(keys: list[str]) -> bool:
    try:
        return len(keys) == 1 and len(binascii.a2b_base64(keys[0], strict_mode=True)) == 16
    except ValueError:
        return False
