"""Stopping without a reconnect storm: goodbyes spread over `DRAIN_SECONDS`, and an end whatever clients do."""

import asyncio
import random
from time import monotonic

import structlog

from service.engine.foundation.metrics import Metrics
from service.engine.process.connections import Connections

_LEAST_SECONDS = 1.0
"""How long a process without connections still answers 503, for load balancers to notice."""
_GRACE_SECONDS = 0.75
"""How long the last clients get to answer their close, and the last operations to end."""
_LAST_SECONDS = 0.25
"""How long clients get whose operation did not end, to answer theirs."""
_DELAY_MS = (100, 1500)
"""Between which bounds clients are told to wait before they reconnect."""
_TICK = 0.05

_logger = structlog.get_logger(__name__)


async def drain(connections: Connections, metrics: Metrics, seconds: float) -> None:
    """Refuse new connections, say goodbye to the open ones evenly over `seconds`, and drop those that do not leave."""
    connections.draining = True
    metrics.draining.set(1)
    start = monotonic()
    leaving = list(connections)
    random.shuffle(leaving)
    _logger.info("draining", connections=len(leaving), seconds=seconds)
    for number, connection in enumerate(leaving, start=1):
        await _until(start + seconds * number / len(leaving))
        connection.say_goodbye(_delay())
        metrics.drained.inc()
    await _until(start + min(seconds, _LEAST_SECONDS))
    await _gone(connections, _GRACE_SECONDS)
    for connection in connections:
        connection.say_goodbye(_delay(), at_once=True)
    await _gone(connections, _LAST_SECONDS)
    for connection in connections:
        connection.abort()
    _logger.info("drained", seconds=round(monotonic() - start, 1), aborted=len(connections))


def _delay() -> int:
    return random.randint(*_DELAY_MS)  # noqa: S311 - not a secret


async def _gone(connections: Connections, seconds: float) -> None:
    deadline = monotonic() + seconds
    while len(connections) and monotonic() < deadline:  # noqa: ASYNC110 - connections need not know who waits
        await asyncio.sleep(_TICK)


async def _until(time: float) -> None:
    if (wait := time - monotonic()) > 0:
        await asyncio.sleep(wait)
