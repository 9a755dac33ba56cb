"""When a task may be interrupted: a database transaction that has begun is finished first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any

_current: ContextVar["Interruptible | None"] = ContextVar("interruptible", default=None)


class Interruptible:
    """A block of a task that can be left early: `async with scope: ...` ends quietly when it is interrupted."""

    __slots__ = ("_cancelled", "_holds", "_interrupted", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._holds = 0
        self._interrupted = False
        self._cancelled = False

    @property
    def held(self) -> bool:
        """Whether the block is inside `uninterrupted()`."""
        return self._holds > 0

    @property
    def runs_here(self) -> bool:
        """Whether the running task is the one of the block."""
        return asyncio.current_task() is self._task

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        _current.set(self)
        if self._interrupted:
            self.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        assert task is not None
        if not self._cancelled:
            return False
        if not isinstance(error, asyncio.CancelledError):
            with suppress(asyncio.CancelledError):  # not delivered yet, it would hit what follows the block
                await asyncio.sleep(0)
        task.uncancel()
        return isinstance(error, asyncio.CancelledError)

    def interrupt(self) -> None:
        """Leave the block, now or at the end of its transaction."""
        if not self._interrupted:
            self._interrupted = True
            if not self._holds:
                self.cancel()

    def cancel(self) -> None:
        """Leave the block now, whatever it is doing."""
        self._interrupted = True
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()

    @asynccontextmanager
    async def uninterrupted(self) -> AsyncIterator[None]:
        if self._interrupted and not self._holds:
            await asyncio.sleep(0)  # where a cancellation that is on its way arrives, and not further in
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if self._interrupted and not self._holds:
                self.cancel()


@asynccontextmanager
async def uninterrupted() -> AsyncIterator[None]:
    """Put off an interruption of the running block until the end of this one, which has to be short."""
    current = _current.get()
    if current is None or not current.runs_here:  # a task that the block has started is not the block
        yield
    else:
        async with current.uninterrupted():
            yield
