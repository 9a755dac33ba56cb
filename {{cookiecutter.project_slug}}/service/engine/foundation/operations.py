"""What the service does for somebody, one thing at a time, and what is put around it: to observe it, or to wrap it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from service.engine.foundation.wire import UserId

BEGUN = "service.operation"
"""Where in the ASGI scope a handshake or request has the operation that it is."""

Kind = Literal["handshake", "message", "request", "publish", "delivery"]


@dataclass(slots=True, kw_only=True)
class Operation:
    """One of them, without what it is about: no token, no query, nothing that a user has written.

    - `handshake`: from its arrival until it is accepted or refused. `name` is the endpoint's path.
    - `message`: an endpoint's operation on one. `name` is the endpoint's path, `message` its class.
    - `request`: of the HTTP API, until it is answered. `name` is the method and the endpoint's path.
    - `publish`: an event is stored. `name` is the declared stream, `stream` the one of them.
    - `delivery`: an event has come to this process, and is sent to whoever follows its stream here.
    """

    kind: Kind
    name: str
    connection_id: str | None = None
    user_id: UserId | None = None
    """Of a handshake or a request once its token has been verified."""
    message: str | None = None
    stream: str | None = None
    status: int | None = None
    """Of a request, once its answer has begun."""
    traceparent: str | None = None
    """What it goes on with, if its cause has said so; of a publication what travels with the event, if one is set
    (https://www.w3.org/TR/trace-context/)."""


Around = Callable[[Operation], AbstractAsyncContextManager[None]]
"""What is around every operation. It lets errors through, and raises as an operation does: a Problem is answered,
anything else is a bug."""


def nested(arounds: Sequence[Around]) -> Around | None:
    """All of them as one, the first outermost; None if there are none."""
    if len(arounds) < 2:
        return arounds[0] if arounds else None

    @asynccontextmanager
    async def around(operation: Operation) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in arounds:
                await stack.enter_async_context(each(operation))
            yield

    return around


class Begun:
    """An operation that ends elsewhere than it began, where it is answered; the first end counts."""

    __slots__ = ("_block", "operation")

    def __init__(self, around: Around, operation: Operation) -> None:
        self.operation = operation
        self._block: AbstractAsyncContextManager[None] | None = around(operation)

    async def begin(self) -> None:
        assert self._block is not None
        try:
            await self._block.__aenter__()
        except BaseException:
            self._block = None
            raise

    async def end(self, error: BaseException | None = None) -> None:
        block, self._block = self._block, None
        if block is not None:
            await block.__aexit__(*((None,) * 3 if error is None else (type(error), error, error.__traceback__)))


def begun_of(scope: Mapping[str, Any]) -> Begun | None:
    """The operation that a handshake or request is, if there is anything around operations."""
    return scope.get(BEGUN)


def name_user(scope: Mapping[str, Any], user: UserId) -> None:
    """Tell the operation whose it is."""
    if (begun := begun_of(scope)) is not None:
        begun.operation.user_id = user
