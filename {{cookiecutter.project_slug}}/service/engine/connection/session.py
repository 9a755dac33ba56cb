"""What the engine knows of one client: what arrives from it, what it is sent, and how it ends."""

import asyncio
import os
from collections.abc import Coroutine
from operator import attrgetter
from typing import Any

import structlog

from service.engine.auth.principal import Principal
from service.engine.connection.subscriptions import Subscriptions
from service.engine.foundation import endings
from service.engine.foundation.cancellation import Interruptible
from service.engine.foundation.endings import Ending
from service.engine.foundation.frames import Frame, frame_of
from service.engine.foundation.problems import Problem, Unavailable, insufficient_scope
from service.engine.foundation.tasks import Tasks
from service.engine.foundation.wire import (
    Authenticate,
    Authenticated,
    CaughtUp,
    Error,
    HistoryGap,
    Ping,
    Pong,
    Reconnect,
    UserId,
    utc,
)
from service.engine.link.codec import BinaryNotAllowed, Codec, client_id_of
from service.engine.link.heartbeat import Liveness
from service.engine.link.inbox import Inbox
from service.engine.link.limits import TokenBucket
from service.engine.link.link import Link
from service.engine.process.runtime import Runtime
from service.engine.streams.event import Passing

_PONG = frame_of(Pong())
_RATE_LIMITED = "Too many messages: this one was not processed."
_BAD_MESSAGES_IN_A_ROW = 10
_DEAD_LINGER = 1.0
"""Seconds for a client that seems dead to show that it is not, by answering the close."""
_LAST_WORDS = 1.0
"""Seconds for what a client said before its end to be processed."""

_logger = structlog.get_logger(__name__)


class ClientSession:
    """A client, from its handshake to its goodbye. None of its methods waits, but for `drained`."""

    __slots__ = (
        "_bad_messages", "_reconnect",
        "accepted", "bucket", "busy", "codec", "ending", "id", "inbox", "link", "liveness", "path", "principal",
        "required_scopes", "runtime", "scope", "subscriptions", "tasks",
    )  # fmt: skip

    codec: Codec
    form = attrgetter("frame")

    def __init__(self, runtime: Runtime, link: Link, connection_id: str | None = None) -> None:
        settings = runtime.settings
        self.id = connection_id or new_id()
        self.runtime = runtime
        self.link = link
        self.principal: Principal | None = None
        self.required_scopes: tuple[str, ...] = ()
        self.path = ""
        self.accepted = False
        self.ending: Ending | None = None
        self.scope = Interruptible()
        self.busy = False
        self.liveness = Liveness()
        self.inbox = Inbox(link, settings.max_message_bytes)
        self.subscriptions = Subscriptions(self, runtime.hub, runtime.metrics)
        self.tasks = Tasks(self.failed)
        self._reconnect: Reconnect | None = None
        self.bucket = TokenBucket(settings.rate_limit, settings.rate_limit_burst)
        self._bad_messages = 0

    @property
    def user_id(self) -> UserId | None:
        return self.principal.user_id if self.principal is not None else None

    @property
    def overloaded(self) -> bool:
        return self.inbox.full

    @property
    def answers_pings(self) -> bool:
        return self.principal is not None and self.accepted

    def check_scopes(self, principal: Principal) -> None:
        """Raise Problem, 403 `insufficient_scope`, if the endpoint asks for a scope that the token lacks."""
        for scope in self.required_scopes:
            if scope not in principal.scopes:
                raise insufficient_scope(scope)

    # Sending

    def push(self, frame: Frame) -> None:
        """Send a frame as soon as the client reads."""
        self.runtime.metrics.messages_sent += 1
        self.link.write(frame)

    async def drained(self) -> None:
        """Wait until the client has read most of what was sent; give up on it after `SEND_TIMEOUT`."""
        if self.link.congested:
            try:
                async with asyncio.timeout(self.runtime.settings.send_timeout):
                    await self.link.drained()
            except TimeoutError:
                self.overflowed()
                await asyncio.sleep(0)

    def answer_problem(self, problem: Problem, client_id: str | None = None, stream: str | None = None) -> None:
        """Say that a message was not processed, and why."""
        self.runtime.metrics.bad_messages.labels(problem.code).inc()
        self.push(frame_of(problem.as_error(client_id=client_id, stream=stream)))

    # What topics tell

    def caught_up(self, stream: str, seq: int) -> None:  # noqa: ARG002 - it follows one
        self.push(frame_of(CaughtUp(seq=seq)))

    def fell_behind(self, stream: str, after: int, seq: int) -> None:  # noqa: ARG002
        self.push(frame_of(HistoryGap(after=after, seq=seq)))

    def signalled(self, signal: Passing, origin: str) -> None:
        """An endpoint says only what it has declared."""

    def expel(self, stream: str) -> None:
        if (subscription := self.subscriptions.find(stream)) is not None:
            self.subscriptions.end(subscription)
            self.push(frame_of(no_longer(stream)))

    # Ending

    def close(self, ending: Ending, abort_after: float | None = None) -> None:
        """End the connection, and its endpoint where it waits. The first ending counts."""
        if self.ending is None:
            self.ending = ending
            self.end(abort_after)

    def end(self, abort_after: float | None = None) -> None:
        """What was to be done before is: say the ending, and interrupt the endpoint where it waits."""
        self.scope.interrupt()
        self.say_ending(abort_after)

    def say_ending(self, abort_after: float | None = None) -> None:
        """Send the close, unless it is."""
        assert self.ending is not None
        linger = self.runtime.settings.send_timeout if abort_after is None else abort_after
        self.link.close(self.ending.code, self.ending.reason, linger)

    def give_up(self) -> None:
        """End a connection whose client does not answer."""
        if self.ending is None:
            self.runtime.metrics.heartbeat_timeouts.inc()
            self.close(endings.SILENT, abort_after=_DEAD_LINGER)

    def say_goodbye(self, delay_ms: int, *, at_once: bool = False) -> None:
        """Ask the client to reconnect after `delay_ms`, once the operation in progress is answered or `at_once`."""
        self._reconnect = Reconnect(delay_ms=delay_ms)
        if at_once or not self.busy:
            self.leave()

    @property
    def leaves(self) -> bool:
        """Whether the client has to be told goodbye as soon as the operation in progress is answered."""
        return self._reconnect is not None

    @property
    def is_answered(self) -> bool:
        """Whether the client has nothing more to say, and all that it said is processed."""
        return self.ending is not None and self.inbox.empty

    def leave(self) -> None:
        assert self._reconnect is not None
        if self.codec.speaks_json:
            self.push(frame_of(self._reconnect))
        self.close(endings.RESTARTING)

    def abort(self) -> None:
        """Drop everything now."""
        self.link.abort()
        self.scope.cancel()

    def forget(self) -> None:
        """It is over. Without the circles that lead back to it, all goes now, not when garbage is collected."""
        del self.subscriptions, self.tasks

    def failed(self, error: BaseException) -> None:
        """A bug in the endpoint, or in what runs next to it."""
        self.runtime.metrics.handler_errors.labels(self.path).inc()
        _logger.error("endpoint_failed", connection_id=self.id, path=self.path, exc_info=error)
        self.close(endings.BUG)

    # What the link tells

    def heard(self, now: float) -> None:
        self.liveness.heard_at = now

    def received(self, data: str | bytes, now: float) -> None:
        self.liveness.message_at = now
        self.runtime.metrics.messages_received += 1
        if self.ending is not None:
            return
        if not self.bucket.take(now):
            self.runtime.metrics.limits.labels("rate").inc()
            self.push(frame_of(Error(code="rate_limited", message=_RATE_LIMITED, client_id=client_id_of(data))))
            return
        try:
            message = self.codec.decode(data)
        except BinaryNotAllowed:
            self._end_after_last_words(endings.BINARY_NOT_ALLOWED)
        except Problem as problem:
            self._refuse_bad(problem, client_id_of(data))
        else:
            self._take(message, len(data))

    def broke(self, code: int, reason: str) -> None:
        if self.ending is None:
            self._end_after_last_words(self._brought_about(code, reason))

    def ended(self, code: int, reason: str = "") -> None:  # noqa: ARG002 - the client's own words
        if self.ending is not None:
            return
        if code == endings.LOST:
            self.ending = endings.of_client(code)
            self.scope.interrupt()
        else:
            self._end_after_last_words(self._brought_about(code))

    def overflowed(self) -> None:
        if self.ending is None:
            self.runtime.metrics.slow_consumers.inc()
            self.runtime.metrics.limits.labels("outbox").inc()
            self.close(endings.SLOW_CONSUMER)

    # Its own

    def _brought_about(self, code: int, reason: str = "") -> Ending:
        """The ending by which the client, its link or the protocol ends the connection."""
        if code == endings.TOO_BIG.code:
            self.runtime.metrics.limits.labels("message_size").inc()
            return endings.TOO_BIG
        return endings.of_client(code, reason)

    def _end_after_last_words(self, ending: Ending) -> None:
        """A client may say something and leave, or say what it may not: what it said first counts, and is answered."""
        self.ending = ending
        if self.inbox.empty and not self.busy:
            self.end()
        else:
            asyncio.get_running_loop().call_later(_LAST_WORDS, self.end)

    def _take(self, message: Any, size: int) -> None:
        match message:
            case Authenticate() if self.codec.takes_control:
                self._spawn(self._renew(message.token))
                return
            case Ping() if self.codec.takes_control:
                self.push(_PONG)
            case Pong() if self.codec.takes_control:
                pass
            case _:
                self.inbox.put(message, size)
        self._bad_messages = 0

    def _refuse_bad(self, problem: Problem, client_id: str | None = None) -> None:
        """Bad input does not end the connection, at first."""
        self.answer_problem(problem, client_id)
        self._bad_messages += 1
        if self._bad_messages >= _BAD_MESSAGES_IN_A_ROW:
            self.runtime.metrics.limits.labels("bad_messages").inc()
            self._end_after_last_words(endings.BAD_MESSAGES)

    async def _renew(self, token: str) -> None:
        """Go on with a newer token, and with those subscriptions alone that it still has a right to."""
        try:
            if self.principal is None:
                raise Problem.invalid_message("type", "nobody is authenticated on this endpoint")
            principal = await self.runtime.tokens.verify(token)
            if principal.user_id != self.principal.user_id:
                raise Problem("invalid_token", "The token is of another user.")
            self.check_scopes(principal)
            lost = await self.subscriptions.forbidden_to(principal)
        except Unavailable as problem:
            self.answer_problem(problem)
        except Problem as problem:
            self._refuse_bad(problem)
        else:
            self._bad_messages = 0
            self.principal = principal
            self.liveness.look_at = 0.0
            self.push(frame_of(Authenticated(expires_at=utc(principal.expires_at))))
            for stream in lost:
                self.expel(stream)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.start(work)


def no_longer(stream: str) -> Error:
    """What is said to a client whose right to a stream has ended."""
    return Error(code="forbidden", message="You may not read this any longer.", stream=stream)


def new_id() -> str:
    """What a connection is called in logs, and as the origin of events."""
    return os.urandom(8).hex()
