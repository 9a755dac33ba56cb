"""Messages that wait for their endpoint."""

import asyncio
from typing import Any

from service.engine.link.link import Link

_MOST_MESSAGES = 64


class Inbox:
    """A bounded queue: while it is full the client's socket is not read, so that TCP slows the client down."""

    __slots__ = ("_link", "_messages", "_most_bytes", "_size", "_waiting")

    def __init__(self, link: Link, most_bytes: int) -> None:
        self._link = link
        self._most_bytes = most_bytes
        self._messages: list[tuple[Any, int]] = []  # a tenth of an empty deque's memory, and never long
        self._size = 0
        self._waiting: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        return self._size > self._most_bytes or len(self._messages) >= _MOST_MESSAGES

    @property
    def empty(self) -> bool:
        return not self._messages

    def put(self, message: Any, size: int) -> None:
        """Add a message of `size` bytes; never waits."""
        self._messages.append((message, size))
        self._size += size
        if self.full:
            self._link.pause_reading()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def arrival(self) -> asyncio.Future[None]:
        """Done as soon as there is a message. For one reader."""
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting

    def take(self) -> Any:
        """The next message, which there has to be."""
        message, size = self._messages.pop(0)
        self._size -= size
        if not self.full:
            self._link.resume_reading()
        return message
