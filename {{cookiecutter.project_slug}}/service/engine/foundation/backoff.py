"""Waiting between attempts."""

import asyncio
import random


class Backoff:
    """Full jitter: a random time up to a bound that doubles with each failure, so that many do not retry as one."""

    def __init__(self, first: float = 0.1, most: float = 2.0) -> None:
        self._first = first
        self._most = most
        self._bound = first

    def reset(self) -> None:
        self._bound = self._first

    async def wait(self) -> None:
        await asyncio.sleep(random.uniform(self._first / 2, self._bound))  # noqa: S311 - not a secret
        self._bound = min(self._most, self._bound * 2)
