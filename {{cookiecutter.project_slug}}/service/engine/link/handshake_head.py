"""The head of a handshake as nearly every client writes it (RFC 6455 §4.1), read in one go.

Only what is plainly good is told here. Every other head, the bad ones among them, is for an HTTP parser to read.
"""

import re
from typing import NamedTuple

from service.engine.link.handshake_refusal import is_usual

_HEAD = re.compile(
    rb"GET (/[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*+) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9\-_]++:[ -~]*+\r\n)++)"
    rb"\r\n"
)
_LONGEST = 16_384
"""Bytes, well below what any head may have."""


class Handshake(NamedTuple):
    """What a client asks for, and what it has sent since."""

    target: bytes
    headers: list[tuple[bytes, bytes]]
    early: bytes


def usual_handshake(data: bytes) -> Handshake | None:
    """The handshake that `data` begins with; None if it is not whole, or not a usual one."""
    found = _HEAD.match(data, 0, _LONGEST)
    if found is None:
        return None
    headers: list[tuple[bytes, bytes]] = []
    for line in found[2][:-2].split(b"\r\n"):
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" ")))
    return Handshake(found[1], headers, data[found.end() :]) if is_usual(headers) else None
