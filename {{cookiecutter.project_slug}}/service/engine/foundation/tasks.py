"""Background tasks with an owner, who hears of their errors and ends them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

_CANCEL_SECONDS = 0.5


class Tasks:
    """The tasks of one owner. `failed` is told of the error that ended one."""

    __slots__ = ("_failed", "_running")

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[None]] | None = None
        """Nothing until there is one: an empty set has 216 bytes, and most owners never start any."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` until it ends or the owner cancels it."""
        task = asyncio.create_task(work)
        if self._running is None:
            self._running = set()
        self._running.add(task)
        task.add_done_callback(self._reap)
        return task

    def cancel(self) -> None:
        """Ask all to end."""
        for task in tuple(self._running or ()):
            task.cancel()

    async def ended(self) -> None:
        """Cancel all, and return when they have ended."""
        while self._running:  # a library may lose a cancellation before Python 3.12 (cpython issue 86296)
            self.cancel()
            await asyncio.wait(tuple(self._running), timeout=_CANCEL_SECONDS)

    def _reap(self, task: asyncio.Task[None]) -> None:
        if self._running is not None:
            self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
