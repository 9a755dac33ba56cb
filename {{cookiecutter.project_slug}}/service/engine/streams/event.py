"""One committed event, and the forms in which it goes to subscribers: each made once, however many there are."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic_core import to_json

from service.engine.foundation.frames import Frame, frame_of
from service.engine.foundation.wire import Message


@dataclass(frozen=True)
class Event:
    """`origin` is the connection that caused it, which gets its own answer instead."""

    stream: str
    seq: int
    message: Message
    origin: str | None = None

    @cached_property
    def frame(self) -> Frame:
        """For a connection that follows this stream alone."""
        return frame_of(self.message)

    @cached_property
    def named_frame(self) -> Frame:
        """For a connection that follows many: with the name of its stream."""
        return Frame(b'{"stream":%b,%b' % (to_json(self.stream), self.frame.payload[1:]))

    @cached_property
    def server_sent(self) -> bytes:
        """As a server-sent event."""
        return server_sent(self.message, self.frame.payload, self.seq)


class Passing:
    """What is sent to whoever follows a stream, and not kept: in the same forms."""

    def __init__(self, message: Message) -> None:
        self.message = message

    @cached_property
    def frame(self) -> Frame:
        return frame_of(self.message)

    @cached_property
    def server_sent(self) -> bytes:
        return server_sent(self.message, self.frame.payload)


Form = Callable[[Event], Any]
"""Which of its forms subscribers are sent."""


def server_sent(message: Message, payload: bytes, seq: int | None = None) -> bytes:
    """A message as a server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    `seq`: where a client that comes back goes on (`Last-Event-ID`).
    """
    position = b"" if seq is None else b"id: %d\n" % seq
    return b"%bevent: %b\ndata: %b\n\n" % (position, str(getattr(message, "type", "message")).encode(), payload)
