"""One committed event, as it goes to subscribers."""

from dataclasses import dataclass
from functools import cached_property

from service.engine.foundation.frames import Frame, frame_of
from service.engine.foundation.wire import Message


@dataclass(frozen=True)
class Event:
    """`origin` is the connection that caused it, which gets its own answer instead."""

    seq: int
    message: Message
    origin: str | None = None

    @cached_property
    def frame(self) -> Frame:
        return frame_of(self.message)
