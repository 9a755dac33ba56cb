"""Outgoing WebSocket frames (RFC 6455 §5.2), each encoded once however many clients it goes to."""

import struct

from service.engine.foundation.wire import Message

_TEXT, _BINARY = 0x81, 0x82
"""The first byte: a final fragment, and its opcode."""
_SHORT, _LONG = 126, 65536


class Frame:
    """One message as it goes out: `wire` for a socket, `payload` for a server that does its own framing."""

    __slots__ = ("is_text", "payload", "wire")

    def __init__(self, payload: bytes, *, is_text: bool = True) -> None:
        self.payload = payload
        self.is_text = is_text
        opcode = _TEXT if is_text else _BINARY
        length = len(payload)
        if length < _SHORT:
            self.wire = bytes((opcode, length)) + payload
        elif length < _LONG:
            self.wire = struct.pack("!BBH", opcode, 126, length) + payload
        else:
            self.wire = struct.pack("!BBQ", opcode, 127, length) + payload


def frame_of(message: Message | str | bytes) -> Frame:
    match message:
        case Message():
            return Frame(message.encode())
        case str():
            return Frame(message.encode())
        case _:
            return Frame(message, is_text=False)
