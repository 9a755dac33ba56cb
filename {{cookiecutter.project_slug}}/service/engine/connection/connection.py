"""One client's connection, as an endpoint's author is given it."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from service.engine.auth.principal import Principal
from service.engine.connection.life import WebSocketSession, accept, serve
from service.engine.connection.subscriptions import Subscription
from service.engine.foundation.frames import frame_of
from service.engine.foundation.wire import Message, UserId
from service.engine.streams.stream import StreamKey

In = TypeVar("In")
Out = TypeVar("Out", bound=Message | str | bytes)


class Connection(Generic[In, Out]):
    """A client that sends messages of type `In` and is sent messages of type `Out`.

    The first `subscribed`, `serve` or `send` accepts the handshake; a `Problem` raised before refuses it. When the
    client leaves, its endpoint is cancelled where it waits, after a transaction that has begun.
    """

    __slots__ = ("_session",)

    def __init__(self, session: WebSocketSession) -> None:
        self._session = session

    @property
    def id(self) -> str:
        """What the connection is called in the logs."""
        return self._session.id

    @property
    def principal(self) -> Principal:
        """Who is there, by the latest token; only on an authenticated connection."""
        principal = self._session.principal
        assert principal is not None, "this endpoint takes anybody: declare an AuthenticatedConnection"
        return principal

    @property
    def user_id(self) -> UserId:
        """The user of the token; only on an authenticated connection."""
        return self.principal.user_id

    def serve(self, operation: Callable[[In], Awaitable[Out | None]] | None = None) -> Coroutine[Any, Any, None]:
        """Run `operation` for each message, one after the other, and send what it returns, until the client leaves.

        A `Problem` that it raises is sent as an error, and the connection goes on. An endpoint that takes no messages
        (`AuthenticatedConnection[Never, …]`) has no operation.
        """
        return serve(self._session, operation)

    async def send(self, message: Out) -> None:
        """Send a message; waits while too much is waiting already, and gives up on a client that does not read."""
        await accept(self._session)
        self._session.push(frame_of(message))
        await self._session.drained()

    def subscribed(self, stream: StreamKey[Any], after: int | None = None) -> AbstractAsyncContextManager[None]:
        """Follow a stream in the block: first what came after the position `after`, if one is given, then live.

        The subscription is in place before the handshake is accepted: a client that is in misses nothing.

        Raises, where the block begins:
            Problem: The user may not read the stream.
        """
        return _Subscribed(self._session, stream, after)


class _Subscribed(AbstractAsyncContextManager[None]):
    """The block of `subscribed`. A generator would do it, and hold a KiB of each connection."""

    __slots__ = ("_after", "_key", "_session", "_subscription")

    def __init__(self, session: WebSocketSession, key: StreamKey[Any], after: int | None) -> None:
        self._session = session
        self._key = key
        self._after = after
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> None:
        subscriptions = self._session.subscriptions
        subscription = self._subscription = subscriptions.begin(self._key, self._session)
        try:
            await subscriptions.wait_open(subscription)
            await subscriptions.check(subscription)
            await accept(self._session)
        except BaseException:
            subscriptions.end(subscription)
            raise
        subscriptions.follow(subscription, self._after)

    async def __aexit__(self, *_: object) -> None:
        assert self._subscription is not None
        self._session.subscriptions.end(self._subscription)


def session_of(connection: Connection[Any, Any]) -> WebSocketSession:
    """What the engine knows of the client, for endpoints of its own."""
    return connection._session  # noqa: SLF001
