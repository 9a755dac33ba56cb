"""Waits for a condition instead of sleeping for luck."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

PAUSE = 0.02


def wait_until(condition: Callable[[], object], what: str, *, within: float = 10) -> float:
    """Block until `condition()` is true; returns the seconds it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within, f"not within {within} s: {what}"
        time.sleep(PAUSE)
    return time.monotonic() - started


async def eventually(condition: Callable[[], object | Awaitable[object]], what: str, *, within: float = 10) -> float:
    """Wait until `condition()`, plain or asynchronous, is true; returns the seconds it took."""
    started = time.monotonic()
    while True:
        outcome = condition()
        if await outcome if inspect.isawaitable(outcome) else outcome:
            return time.monotonic() - started
        assert time.monotonic() - started < within, f"not within {within} s: {what}"
        await asyncio.sleep(PAUSE)
