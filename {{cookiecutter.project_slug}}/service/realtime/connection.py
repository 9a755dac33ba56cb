"""One client's connection, as an endpoint sees it, and its life from the handshake to the goodbye."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from time import monotonic, time
from typing import Any, Generic, TypeVar

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.auth.handshake import SUBPROTOCOL, offered_subprotocols
from service.auth.principal import Principal
from service.auth.tokens import unauthorized
from service.problems import Problem, Unavailable
from service.realtime.asgi_link import AsgiLink
from service.realtime.codec import Codec
from service.realtime.connections import draining
from service.realtime.engine import Engine
from service.realtime.frames import frame_of
from service.realtime.link import EXTENSION, Link
from service.realtime.peer import Peer
from service.realtime.streams import Stream
from service.realtime.subscription import catch_up
from service.wire import Message, UserId

In = TypeVar("In")
Out = TypeVar("Out", bound=Message | str | bytes)

_OPEN_SECONDS = 2.0
"""How long a handshake waits for its subscription to be in place; after that it is accepted all the same."""
_MOST_SUBSCRIPTIONS = 100
_CLOSE_CODES = {*range(1000, 1015), 4408}

_logger = structlog.get_logger(__name__)


def _label(code: int | None) -> str:
    """A client may send any code; a metric must not have a series for each."""
    return str(code) if code in _CLOSE_CODES else "other"


class Connection(Peer, Generic[In, Out]):
    """A client that sends messages of type `In` and is sent messages of type `Out`.

    The first `subscribed`, `serve` or `send` accepts the handshake; a `Problem` raised before refuses it. When the
    client leaves, its endpoint is cancelled where it waits, after a transaction that has begun.
    """

    def __init__(self, websocket: WebSocket, engine: Engine, principal: Principal | None) -> None:
        offered: Link | None = websocket.scope.get("extensions", {}).get(EXTENSION)
        super().__init__(engine, offered or AsgiLink(websocket, engine.settings.max_outbox_bytes), principal)
        self._websocket = websocket
        self._subscriptions = 0

    @property
    def user_id(self) -> UserId:
        """Who is there; only on an authenticated connection."""
        assert self.principal is not None, "this endpoint takes anybody: declare an AuthenticatedConnection"
        return self.principal.user_id

    async def serve(self, operation: Callable[[In], Awaitable[Out | None]]) -> None:
        """Run `operation` for each message, one after the other, and send what it returns, until the client leaves.

        A `Problem` that it raises is sent as an error, and the connection goes on.
        """
        if self._scope.held:
            raise RuntimeError("a database session is open while waiting for messages: close it first")
        await self._accept()
        while True:
            message = await self.inbox.get()
            self._busy = True
            try:
                answer = await operation(message)
                if answer is not None:
                    await self.send(answer)
                self._approve()
            except Problem as problem:
                self._disapprove()
                self._reject(problem, getattr(message, "client_id", None))
            finally:
                self._busy = False
            if self._farewell is not None:
                self._leave()
            elif self.close_code is not None and self.inbox.empty:
                self._scope.interrupt()

    async def send(self, message: Out) -> None:
        """Send a message; waits while too much is waiting already, and gives up on a client that does not read."""
        await self._accept()
        self.push(frame_of(message))
        await self.drained()

    @asynccontextmanager
    async def subscribed(self, stream: Stream, after: int | None = None) -> AsyncIterator[None]:
        """Follow a stream in the block: first what came after the position `after`, if one is given, then live.

        The subscription is in place before the handshake is accepted: a client that is in misses nothing.
        """
        if self._subscriptions >= _MOST_SUBSCRIPTIONS:
            self._engine.metrics.limits.labels("subscriptions").inc()
            raise Problem("too_many_subscriptions", f"A connection may follow {_MOST_SUBSCRIPTIONS} streams.")
        async with self._engine.hub.joined(stream) as topic:
            if not topic.opened.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_OPEN_SECONDS):
                        await topic.opened.wait()
            await self._accept()
            catching_up = None
            if after is None:
                topic.live[self.id] = self
            else:
                catching_up = self._spawn(catch_up(self, self._engine.hub, topic, after))
            self._subscriptions += 1
            try:
                yield
            finally:
                self._subscriptions -= 1
                if catching_up is not None:
                    catching_up.cancel()
                topic.live.pop(self.id, None)

    async def run(
        self, path: str, codec: Codec, endpoint: Callable[..., Awaitable[None]], arguments: Mapping[str, Any]
    ) -> None:
        """Live through one endpoint, whatever happens to it. For the router.

        Raises:
            Problem: The handshake was not accepted.
        """
        self._path = path
        self._codec = codec
        structlog.contextvars.bind_contextvars(**self._identity())
        since = monotonic()
        with self._engine.connections.admitted(self):
            try:
                await self._run(endpoint, arguments)
            finally:
                for task in self._tasks:
                    task.cancel()
                await self.link.finish()
                if self.accepted:
                    self._engine.metrics.closes.labels(_label(self.close_code)).inc()
                    _logger.info("connection_closed", code=self.close_code, seconds=round(monotonic() - since, 1))

    def _identity(self) -> dict[str, object]:
        """What its log lines carry."""
        user = {} if self.principal is None else {"user_id": self.principal.user_id}
        return {"connection_id": self.id, "path": self._websocket.scope["path"][:256], **user}

    async def _run(self, endpoint: Callable[..., Awaitable[None]], arguments: Mapping[str, Any]) -> None:
        try:
            async with self._scope:
                await endpoint(**arguments)
                await self._accept()
            if not self.accepted:
                if self.close_code == 1006:  # the client did not wait
                    return
                raise self._refusal()
            self.close(1000)
        except Problem as problem:
            if not self.accepted:
                raise
            self.push(frame_of(problem.as_error()))
            self.close(1013 if isinstance(problem, Unavailable) else 1008, problem.code)
        except Exception as error:
            self._fail(error)
            if not self.accepted:
                raise Problem("internal_error", "Something went wrong here.", status=500) from None

    def _refusal(self) -> Problem:
        """Why a handshake is refused that ended before it was accepted."""
        if self.close_code != 1008:
            return draining()
        assert self.principal is not None
        if self.principal.expires_at <= time():
            return unauthorized("expired_token", "The token has expired.")
        return unauthorized("invalid_token", "The token is not valid: it was revoked.")

    async def _accept(self) -> None:
        if self.accepted:
            return
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered_subprotocols(self._websocket) else None
        try:
            await self._websocket.accept(subprotocol)
        except (OSError, WebSocketDisconnect):
            self.ended(1006)
            await asyncio.sleep(0)
        self.accepted = True
        self.link.attach(self)
        self._engine.metrics.handshakes.labels(self._path).inc()
        _logger.debug("connection_opened")
