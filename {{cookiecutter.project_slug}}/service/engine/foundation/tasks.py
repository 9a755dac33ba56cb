"""Background tasks with an owner, who hears of their errors and ends them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from service.engine.foundation.cancellation import Interruptible

_CANCEL_SECONDS = 0.5


class Tasks:
    """The tasks of one owner. `failed` is told of the error that ended one.

    One that is ended finishes its database transaction first: a cancellation inside SQLAlchemy would cost the pool a
    connection.
    """

    __slots__ = ("_failed", "_running")

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._running: dict[asyncio.Task[None], Interruptible] | None = None
        """None before there is one: most owners never have any."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` until it ends or the owner ends it."""
        scope = Interruptible()
        task = asyncio.create_task(_run(work, scope))
        if self._running is None:
            self._running = {}
        self._running[task] = scope
        task.add_done_callback(self._reap)
        return task

    def stop(self, task: asyncio.Task[None]) -> None:
        """Ask one to end."""
        if self._running is not None and (scope := self._running.get(task)) is not None:
            scope.interrupt()

    def cancel(self) -> None:
        """Ask all to end."""
        for scope in tuple((self._running or {}).values()):
            scope.interrupt()

    async def ended(self) -> None:
        """End all, and return when they have ended."""
        self.cancel()
        while self._running:
            _, late = await asyncio.wait(tuple(self._running), timeout=_CANCEL_SECONDS)
            for task in late:  # a library may lose a cancellation before Python 3.12 (cpython issue 86296)
                task.cancel()

    def _reap(self, task: asyncio.Task[None]) -> None:
        if self._running is not None:
            self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


async def _run(work: Coroutine[Any, Any, None], scope: Interruptible) -> None:
    async with scope:
        await work
