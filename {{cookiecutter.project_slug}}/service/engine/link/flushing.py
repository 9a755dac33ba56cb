"""What is done once at the end of the event loop's turn, for all who asked for it meanwhile."""

import asyncio
from typing import Protocol


class Flushable(Protocol):
    """Who has gathered something to send."""

    loop: asyncio.AbstractEventLoop

    def flush(self) -> None: ...


class Flushing:
    """The links with frames to send when the turn ends: one callback of the loop for all of them."""

    def __init__(self) -> None:
        self._waiting: list[Flushable] = []

    def flush_at_end(self, link: Flushable) -> None:
        if not self._waiting:
            link.loop.call_soon(self._flush)
        self._waiting.append(link)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for link in waiting:
            link.flush()
