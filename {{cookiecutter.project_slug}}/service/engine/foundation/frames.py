"""Outgoing WebSocket frames (RFC 6455 §5.2), each encoded once however many clients it goes to."""

import struct

from service.engine.foundation.wire import Message

_FINAL = 0x80
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_SHORT, _LONG = 126, 65536
_LONGEST_REASON = 123


class Frame:
    """One message as it goes out: `wire` for a socket, `payload` for a server that does its own framing."""

    __slots__ = ("is_text", "payload", "wire")

    def __init__(self, payload: bytes, *, is_text: bool = True) -> None:
        self.payload = payload
        self.is_text = is_text
        self.wire = _wire(_TEXT if is_text else _BINARY, payload)


def frame_of(message: Message | str | bytes) -> Frame:
    match message:
        case Message():
            return Frame(message.encode())
        case str():
            return Frame(message.encode())
        case _:
            return Frame(message, is_text=False)


def pong_frame(payload: bytes) -> bytes:
    return _wire(_PONG, payload)


def close_frame(payload: bytes) -> bytes:
    return _wire(_CLOSE, payload)


def close_payload(code: int, reason: str) -> bytes:
    """The payload of a close frame; a reason that is too long for one is cut."""
    return code.to_bytes(2, "big") + reason.encode()[:_LONGEST_REASON].decode(errors="ignore").encode()


def _wire(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < _SHORT:
        return bytes((_FINAL | opcode, length)) + payload
    if length < _LONG:
        return struct.pack("!BBH", _FINAL | opcode, 126, length) + payload
    return struct.pack("!BBQ", _FINAL | opcode, 127, length) + payload


PING_FRAME = _wire(_PING, b"")
