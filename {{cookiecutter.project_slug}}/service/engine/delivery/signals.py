"""Signals on their way to the other subscribers: at most once, never stored, and never in the way of what is."""

import asyncio
import json
from collections import deque
from typing import Any

from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.wire import UserId
from service.engine.storage.channels import NOTIFY_ALL
from service.engine.storage.database import Database
from service.engine.streams.broker import Broker

_MOST_WAITING = 1_000
"""Beyond it the oldest are dropped: they are the least worth."""


class Signals:
    """The signals of this process that have not left it yet."""

    def __init__(self, database: Database, broker: Broker, metrics: Metrics) -> None:
        self._database = database
        self._broker = broker
        self._metrics = metrics
        self._waiting: deque[tuple[str, str]] = deque(maxlen=_MOST_WAITING)
        self._work = asyncio.Event()

    def send(self, stream: str, user: UserId, origin: str, data: dict[str, Any]) -> None:
        """Send a signal soon; nobody waits for it."""
        if len(self._waiting) == _MOST_WAITING:
            self._metrics.signals_dropped.inc()
        payload = json.dumps({"signal": {"user": user, "origin": origin, "data": data}}, ensure_ascii=False)
        self._waiting.append((stream, payload))
        self._work.set()

    async def run(self) -> None:
        """Send what is waiting, all that came meanwhile in one round trip."""
        while True:
            await self._work.wait()
            self._work.clear()
            batch = [*self._waiting]
            self._waiting.clear()
            if not await self._sent(batch):
                self._metrics.signals_dropped.inc(len(batch))

    async def _sent(self, batch: list[tuple[str, str]]) -> bool:
        channels = [self._broker.channel(stream) for stream, _ in batch]
        if None in channels:
            return await self._broker.signal(batch)
        try:
            parameters = {"channels": channels, "payloads": [payload for _, payload in batch]}
            await self._database.execute(NOTIFY_ALL, parameters)
        except Unavailable:
            return False
        return True
