"""The same application, with something of the team's own around every operation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from prometheus_client import Counter

from service.engine.foundation.operations import Operation
from service.engine.foundation.problems import Problem
from tests.engine.application import app

BREAKS_BEFORE, BREAKS_AFTER, REFUSES = "break-before", "break-after", "refuse"
"""As the `traceparent` of a handshake or request."""
BREAKING_USERS = {666: BREAKS_BEFORE, 667: BREAKS_AFTER, 668: REFUSES}
"""Whose messages break."""
BREAKING_STREAMS = {"rooms/666": BREAKS_BEFORE, "rooms/667": BREAKS_AFTER}
"""Whose deliveries break."""

_begun = Counter("operations_begun", "Operations that have begun", ["kind", "name"])
_ended = Counter("operations_ended", "Operations that have ended, and how", ["kind", "name", "outcome"])


class BrokenError(Exception):
    """A bug in what is around operations."""


@asynccontextmanager
async def counted(operation: Operation) -> AsyncIterator[None]:
    """Count each operation, and how it has ended."""
    _begun.labels(operation.kind, operation.name).inc()
    outcome = "done"
    try:
        yield
    except BaseException as error:
        outcome = error.code if isinstance(error, Problem) else type(error).__name__
        raise
    finally:
        _ended.labels(operation.kind, operation.name, operation.status or outcome).inc()


@asynccontextmanager
async def broken(operation: Operation) -> AsyncIterator[None]:
    """Break on some, before or after."""
    how = None
    match operation.kind:
        case "handshake" | "request":
            how = operation.traceparent
        case "message" if isinstance(operation.user_id, int):
            how = BREAKING_USERS.get(operation.user_id)
        case "delivery" if operation.stream is not None:
            how = BREAKING_STREAMS.get(operation.stream)
    if how == REFUSES:
        raise Problem("closed_today", "Come back tomorrow.", status=403)
    if how == BREAKS_BEFORE:
        raise BrokenError
    yield
    if how == BREAKS_AFTER:
        raise BrokenError


application = replace(app.application, around=[counted, broken])
