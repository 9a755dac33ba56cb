"""One client's connection: what an endpoint does with it, and its life from the handshake to the goodbye."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.auth.handshake import SUBPROTOCOL, offered_subprotocols
from service.auth.principal import Principal
from service.cancellation import Interruptible
from service.problems import Problem, Unavailable
from service.realtime.asgi_link import AsgiLink
from service.realtime.codec import BinaryNotAllowed, Codec
from service.realtime.connections import draining
from service.realtime.frames import Frame, frame_of
from service.realtime.heartbeat import Pulse
from service.realtime.inbox import Inbox
from service.realtime.limits import TokenBucket
from service.realtime.link import EXTENSION, Link
from service.realtime.streams import Stream
from service.realtime.subscription import catch_up
from service.wire import Authenticate, Authenticated, Error, Message, Ping, Pong, Reconnect, UserId, utc

if TYPE_CHECKING:
    from service.realtime.engine import Engine

In = TypeVar("In")
Out = TypeVar("Out", bound=Message | str | bytes)

_PONG = frame_of(Pong())
_RATE_LIMITED = frame_of(Error(code="rate_limited", message="Too many messages: this one was not processed."))
_BAD_MESSAGES_IN_A_ROW = 10
_OPEN_SECONDS = 2.0
"""How long a handshake waits for its subscription to be in place; after that it is accepted all the same."""
_DEAD_LINGER = 1.0
"""Seconds for a client that seems dead to show that it is not, by answering the close."""

_logger = structlog.get_logger(__name__)


class Connection(Generic[In, Out]):
    """A client, as an endpoint sees it: it sends messages of type `In` and is sent messages of type `Out`.

    The first `subscribed`, `serve` or `send` accepts the handshake; a `Problem` raised before refuses it. When the
    client leaves, its endpoint is cancelled where it waits, after a transaction that has begun.
    """

    def __init__(self, websocket: WebSocket, engine: "Engine", principal: Principal | None) -> None:
        settings = engine.settings
        offered: Link | None = websocket.scope.get("extensions", {}).get(EXTENSION)
        self.id = secrets.token_hex(8)
        self.principal = principal
        self.link: Link = offered or AsgiLink(websocket, settings.max_outbox_bytes)
        self.pulse = Pulse()
        self.inbox = Inbox(self.link, settings.max_message_bytes)
        self.close_code: int | None = None
        self._websocket = websocket
        self._engine = engine
        self._codec: Codec
        self._path: str
        self._scope = Interruptible()
        self._bucket = TokenBucket(settings.rate_limit, settings.rate_limit_burst)
        self._tasks: set[asyncio.Task[None]] = set()
        self._bad_messages = 0
        self._accepted = False
        self._busy = False
        self._farewell: Reconnect | None = None

    @property
    def user_id(self) -> UserId:
        """Who is there; only on an authenticated connection."""
        assert self.principal is not None, "this endpoint takes anybody: declare an AuthenticatedConnection"
        return self.principal.user_id

    @property
    def answers_pings(self) -> bool:
        return self.principal is not None and self._accepted

    # For endpoints

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
            except Problem as problem:
                self._reject(problem, getattr(message, "client_id", None))
            finally:
                self._busy = False
            if self._farewell is not None:
                self._leave()

    async def send(self, message: Out) -> None:
        """Send a message; waits while too much is waiting already, and gives up on a client that does not read."""
        await self._accept()
        self.push(frame_of(message))
        await self.drained()

    @asynccontextmanager
    async def subscribed(self, stream: Stream, after: int | None = None) -> AsyncIterator[None]:
        """Follow a stream in the block: first what came after the position `after`, if one is given, then live."""
        async with self._engine.hub.joined(stream) as topic:
            with suppress(TimeoutError):
                async with asyncio.timeout(_OPEN_SECONDS):
                    await topic.opened.wait()
            await self._accept()
            if after is None:
                topic.live[self.id] = self
            else:
                self._spawn(catch_up(self, topic, after))
            try:
                yield
            finally:
                topic.live.pop(self.id, None)

    # For the engine

    async def run(self, path: str, codec: Codec, endpoint: Callable[[], Awaitable[None]]) -> None:
        """Live through one endpoint, whatever happens to it.

        Raises:
            Problem: The handshake was not accepted.
        """
        self._path = path
        self._codec = codec
        structlog.contextvars.bind_contextvars(
            connection_id=self.id, path=path, user_id=self.principal and self.principal.user_id
        )
        since = monotonic()
        with self._engine.admitted(self):
            try:
                async with self._scope:
                    await endpoint()
                    await self._accept()
                self._end_unless_accepted()
                self.close(1000)
            except Problem as problem:
                if not self._accepted:
                    raise
                self.push(frame_of(problem.as_error()))
                self.close(1013 if isinstance(problem, Unavailable) else 1008, problem.code)
            except Exception as error:
                self._fail(error)
                if not self._accepted:
                    raise Problem("internal_error", "Something went wrong here.", status=500) from None
            finally:
                for task in self._tasks:
                    task.cancel()
                await self.link.finish()
                self._engine.metrics.closes.labels(self.close_code).inc()
                _logger.info("connection_closed", code=self.close_code, seconds=round(monotonic() - since, 1))

    def push(self, frame: Frame) -> None:
        """Send a frame without waiting."""
        self._engine.metrics.messages_sent += 1
        self.link.write(frame)

    async def drained(self) -> None:
        """Wait until the client has read most of what was sent; give up on it after `SEND_TIMEOUT`."""
        if self.link.congested:
            try:
                async with asyncio.timeout(self._engine.settings.send_timeout):
                    await self.link.drained()
            except TimeoutError:
                self.overflowed()
                await asyncio.sleep(0)

    def close(self, code: int, reason: str = "", abort_after: float | None = None) -> None:
        """End the connection. The first reason counts."""
        if self.close_code is None:
            self.close_code = code
            self.link.close(code, reason, self._engine.settings.send_timeout if abort_after is None else abort_after)
            self._scope.interrupt()

    def give_up(self) -> None:
        """End a connection whose client does not answer."""
        self._engine.metrics.heartbeat_timeouts.inc()
        self.close(4408, "heartbeat timeout", abort_after=_DEAD_LINGER)

    def say_goodbye(self, delay_ms: int) -> None:
        """Ask the client to reconnect after `delay_ms`, once the operation in progress is answered."""
        self._farewell = Reconnect(delay_ms=delay_ms)
        if not self._busy:
            self._leave()

    def abort(self) -> None:
        """Drop everything now."""
        self.link.abort()
        self._scope.cancel()

    # For the link

    def heard(self) -> None:
        self.pulse.heard_at = monotonic()

    def received(self, data: str | bytes) -> None:
        now = monotonic()
        self.pulse.message_at = now
        self._engine.metrics.messages_received += 1
        if self.close_code is not None:
            return
        if not self._bucket.take(now):
            self._engine.metrics.limits.labels("rate").inc()
            self.push(_RATE_LIMITED)
            return
        try:
            message = self._codec.decode(data)
        except BinaryNotAllowed:
            self.close(1003, "this endpoint speaks JSON in text frames")
        except Problem as problem:
            self._reject(problem)
        else:
            self._bad_messages = 0
            self._take(message, len(data))

    def ended(self, code: int) -> None:
        if self.close_code is None:
            self.close_code = code
            self._scope.interrupt()

    def overflowed(self) -> None:
        if self.close_code is None:
            self._engine.metrics.slow_consumers.inc()
            self.close(1013, "slow consumer")

    # Its own

    async def _accept(self) -> None:
        if self._accepted:
            return
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered_subprotocols(self._websocket) else None
        try:
            await self._websocket.accept(subprotocol)
        except (OSError, WebSocketDisconnect):
            self.ended(1006)
            await asyncio.sleep(0)
        self._accepted = True
        self.link.attach(self)
        self._engine.metrics.handshakes.labels(self._path).inc()

    def _end_unless_accepted(self) -> None:
        if not self._accepted and self.close_code == 1012:
            raise draining()

    def _take(self, message: Any, size: int) -> None:
        match message:
            case Ping() if self._codec.takes_control:
                self.push(_PONG)
            case Pong() if self._codec.takes_control:
                pass
            case Authenticate() if self._codec.takes_control:
                self._spawn(self._renew(message.token))
            case _:
                self.inbox.put(message, size)

    def _reject(self, problem: Problem, client_id: str | None = None) -> None:
        unavailable = isinstance(problem, Unavailable)
        self._engine.metrics.bad_messages.labels(problem.code).inc()
        self.push(frame_of(problem.as_error(client_id if unavailable else None)))
        if not unavailable:
            self._bad_messages += 1
            if self._bad_messages >= _BAD_MESSAGES_IN_A_ROW:
                self.close(1008, "too many bad messages in a row")

    async def _renew(self, token: str) -> None:
        try:
            principal = await self._engine.tokens.verify(token)
            if principal.user_id != self.user_id:
                raise Problem("invalid_token", "The token is of another user.")
        except Problem as problem:
            self._reject(problem)
        else:
            self.principal = principal
            self.push(frame_of(Authenticated(expires_at=utc(principal.expires_at))))

    def _leave(self) -> None:
        assert self._farewell is not None
        if self._codec.speaks_json:
            self.push(frame_of(self._farewell))
        self.close(1012, "restarting")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._engine.metrics.handler_errors.labels(self._path).inc()
        _logger.error("endpoint_failed", connection_id=self.id, path=self._path, exc_info=error)
        self.close(1011, "internal error")
