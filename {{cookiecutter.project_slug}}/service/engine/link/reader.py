"""Frames that arrive (RFC 6455 §5): cut out of what the socket brings, unmasked, and put together to messages."""

from collections.abc import Iterator

from websockets.frames import apply_mask  # type: ignore[attr-defined] # in C, where it could be built

from service.engine.foundation.endings import TOO_BIG

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_OPCODES = {0, TEXT, BINARY, CLOSE, PING, PONG}
_WHOLE = (0x80 | TEXT, 0x80 | BINARY)
"""The first byte of a message that is one frame."""
_FINAL, _MASKED, _RESERVED, _CONTROL = 0x80, 0x80, 0x70, 0x08
_LONGEST_CONTROL = 125
_PROTOCOL_ERROR, _INVALID_DATA = 1002, 1007
_NO_CODE = 1005
_NOT_SENT = {1004, _NO_CODE, 1006}
"""Codes below 1015 that no close frame may carry (RFC 6455 §7.4.1)."""

Part = tuple[int, bytes | str]
"""A message or a control frame, by its opcode; a text is a `str`."""


class BrokenRules(Exception):
    """The client broke the protocol: with which code and reason to close (RFC 6455 §7.4)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """What has arrived of one client's frames; messages of more than `most` bytes are not taken."""

    __slots__ = ("_fragments", "_most", "_need", "_opcode", "_rest")

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest: bytearray | None = None
        """A frame that has not arrived as a whole."""
        self._need = 0
        """Below how many bytes of it there is no use in looking at it again."""
        self._fragments: bytearray | None = None
        """A message of which more is to come."""
        self._opcode = 0

    def read(self, data: bytes) -> Iterator[Part]:
        """What `data` completes, in order.

        Raises:
            BrokenRules: After what came before the fault. Nothing may be read after it.
        """
        if self._rest is not None:
            self._rest += data
            if len(self._rest) < self._need:
                return
            data, self._rest = bytes(self._rest), None
        start, end, need = 0, len(data), 2
        while (have := end - start) >= 2:
            first, second = data[start], data[start + 1]
            length, head = second & 0x7F, 6
            if length > _LONGEST_CONTROL:
                head = 8 if length == 126 else 14
                if have < head - 4:
                    self._check(first, second, 0)
                    need = head
                    break
                length = int.from_bytes(data[start + 2 : start + head - 4], "big")
            if first not in _WHOLE or second < _MASKED or length > self._most or self._fragments is not None:
                self._check(first, second, length)
            need = head + length
            if have < need:
                break
            payload = apply_mask(data[start + head : start + need], data[start + head - 4 : start + head])
            start, need = start + need, 2
            if first & _CONTROL:
                yield first & 0x0F, payload
            elif first in _WHOLE:
                yield first & 0x0F, _as_said(first & 0x0F, payload)
            elif (message := self._joined(first, payload)) is not None:
                yield self._opcode, _as_said(self._opcode, message)
        if start < end:
            self._rest = bytearray(data[start:])
            self._need = need

    def _check(self, first: int, second: int, length: int) -> None:
        """Find the fault in a frame's head, before the rest has come."""
        opcode = first & 0x0F
        if first & _RESERVED:
            raise BrokenRules(_PROTOCOL_ERROR, "reserved bits must be 0")
        if opcode not in _OPCODES:
            raise BrokenRules(_PROTOCOL_ERROR, "invalid opcode")
        if second < _MASKED:
            raise BrokenRules(_PROTOCOL_ERROR, "incorrect masking")
        if opcode & _CONTROL:
            if second & 0x7F > _LONGEST_CONTROL or not first & _FINAL:
                raise BrokenRules(_PROTOCOL_ERROR, "control frames are short and whole")
            return
        if (opcode == 0) != (self._fragments is not None):
            raise BrokenRules(_PROTOCOL_ERROR, "a message's fragments must follow each other")
        if length + len(self._fragments or b"") > self._most:
            raise BrokenRules(TOO_BIG.code, TOO_BIG.reason)

    def _joined(self, first: int, payload: bytes) -> bytes | None:
        """The message that a fragment completes."""
        if self._fragments is None:
            self._fragments, self._opcode = bytearray(), first
        self._fragments += payload
        if not first & _FINAL:
            return None
        message, self._fragments = bytes(self._fragments), None
        return message


def code_of(close: bytes) -> int:
    """The code that a close frame's payload carries, 1005 if it has none.

    Raises:
        BrokenRules: It is none that may be sent, or the reason is not UTF-8.
    """
    if not close:
        return _NO_CODE
    code = int.from_bytes(close[:2], "big")
    known = 1000 <= code < 1015 and code not in _NOT_SENT
    if len(close) == 1 or not (known or 3000 <= code < 5000):
        raise BrokenRules(_PROTOCOL_ERROR, "invalid close code")
    _text(close[2:])
    return code


def _as_said(opcode: int, message: bytes) -> bytes | str:
    return _text(message) if opcode == TEXT else message


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BrokenRules(_INVALID_DATA, "invalid UTF-8") from None
