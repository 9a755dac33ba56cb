"""The client at the other end of a connection: what arrives from it, what it is sent, and how it ends."""

import asyncio
import secrets
from collections.abc import Coroutine
from time import monotonic
from typing import Any

import structlog

from service.auth.principal import Principal
from service.cancellation import Interruptible
from service.problems import Problem, Unavailable
from service.realtime.codec import BinaryNotAllowed, Codec
from service.realtime.engine import Engine
from service.realtime.frames import Frame, frame_of
from service.realtime.heartbeat import Pulse
from service.realtime.inbox import Inbox
from service.realtime.limits import TokenBucket
from service.realtime.link import Link
from service.wire import Authenticate, Authenticated, Error, Ping, Pong, Reconnect, utc

_PONG = frame_of(Pong())
_RATE_LIMITED = frame_of(Error(code="rate_limited", message="Too many messages: this one was not processed."))
_BAD_MESSAGES_IN_A_ROW = 10
_DEAD_LINGER = 1.0
"""Seconds for a client that seems dead to show that it is not, by answering the close."""

_LAST_WORDS = 1.0
"""Seconds for what a client said before its close to be processed."""

_logger = structlog.get_logger(__name__)


class Peer:
    """A client, as the engine sees it. None of its methods waits, but for `drained`."""

    def __init__(self, engine: Engine, link: Link, principal: Principal | None) -> None:
        settings = engine.settings
        self.id = secrets.token_hex(8)
        self.link = link
        self.principal = principal
        self.pulse = Pulse()
        self.inbox = Inbox(link, settings.max_message_bytes)
        self.close_code: int | None = None
        self.accepted = False
        self._engine = engine
        self._path: str
        self._codec: Codec
        self._scope = Interruptible()
        self._busy = False
        self._farewell: Reconnect | None = None
        self._bucket = TokenBucket(settings.rate_limit, settings.rate_limit_burst)
        self._bad_messages = self._bad_before = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def answers_pings(self) -> bool:
        return self.principal is not None and self.accepted

    # Sending

    def push(self, frame: Frame) -> None:
        """Send a frame as soon as the client reads."""
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

    # Ending

    def close(self, code: int, reason: str = "", abort_after: float | None = None) -> None:
        """End the connection, and its endpoint where it waits. The first reason counts."""
        if self.close_code is None:
            self.close_code = code
            self._scope.interrupt()
            self.link.close(code, reason, self._engine.settings.send_timeout if abort_after is None else abort_after)

    def give_up(self) -> None:
        """End a connection whose client does not answer."""
        if self.close_code is not None:
            return
        self._engine.metrics.heartbeat_timeouts.inc()
        self.close(4408, "heartbeat timeout", abort_after=_DEAD_LINGER)

    def say_goodbye(self, delay_ms: int, *, at_once: bool = False) -> None:
        """Ask the client to reconnect after `delay_ms`, once the operation in progress is answered or `at_once`."""
        self._farewell = Reconnect(delay_ms=delay_ms)
        if at_once or not self._busy:
            self._leave()

    def abort(self) -> None:
        """Drop everything now."""
        self.link.abort()
        self._scope.cancel()

    # What the link tells

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
            self._take(message, len(data))

    def ended(self, code: int) -> None:
        if self.close_code is None:
            if code == 1009:
                self._engine.metrics.limits.labels("message_size").inc()
            self.close_code = code
            if code == 1006 or self.inbox.empty:
                self._scope.interrupt()
            else:  # a client may say something and leave: what it said first counts
                asyncio.get_running_loop().call_later(_LAST_WORDS, self._scope.interrupt)

    def overflowed(self) -> None:
        if self.close_code is None:
            self._engine.metrics.slow_consumers.inc()
            self._engine.metrics.limits.labels("outbox").inc()
            self.close(1013, "slow consumer")

    # Its own

    def _take(self, message: Any, size: int) -> None:
        match message:
            case Ping() if self._codec.takes_control:
                self._approve()
                self.push(_PONG)
            case Pong() if self._codec.takes_control:
                self._approve()
            case Authenticate() if self._codec.takes_control:
                self._spawn(self._renew(message.token))
            case _:
                self._bad_before, self._bad_messages = self._bad_messages, 0  # good, unless its operation disagrees
                self.inbox.put(message, size)

    def _approve(self) -> None:
        self._bad_before = self._bad_messages = 0

    def _disapprove(self) -> None:
        self._bad_messages += self._bad_before
        self._bad_before = 0

    def _reject(self, problem: Problem, client_id: str | None = None) -> None:
        unavailable = isinstance(problem, Unavailable)
        self._engine.metrics.bad_messages.labels(problem.code).inc()
        self.push(frame_of(problem.as_error(client_id if unavailable else None)))
        if not unavailable:
            self._bad_messages += 1
            if self._bad_messages >= _BAD_MESSAGES_IN_A_ROW:
                self._engine.metrics.limits.labels("bad_messages").inc()
                self.close(1008, "too many bad messages in a row")

    async def _renew(self, token: str) -> None:
        try:
            if self.principal is None:
                raise Problem.invalid_message("type", "nobody is authenticated on this endpoint")
            principal = await self._engine.tokens.verify(token)
            if principal.user_id != self.principal.user_id:
                raise Problem("invalid_token", "The token is of another user.")
        except Problem as problem:
            self._reject(problem)
        else:
            self._approve()
            self.principal = principal
            self.pulse.look_at = 0.0
            self.push(frame_of(Authenticated(expires_at=utc(principal.expires_at))))

    def _leave(self) -> None:
        assert self._farewell is not None
        if self._codec.speaks_json:
            self.push(frame_of(self._farewell))
        self.close(1012, "restarting")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` next to the endpoint, at the longest until the connection ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._engine.metrics.handler_errors.labels(self._path).inc()
        _logger.error("endpoint_failed", connection_id=self.id, path=self._path, exc_info=error)
        self.close(1011, "internal error")
