"""One client that follows many streams on one connection, and is told of each by its name."""

from operator import attrgetter
from time import monotonic
from typing import Self

import structlog
from pydantic_core import to_json

from service.engine.connection.session import ClientSession, no_longer
from service.engine.connection.subscriptions import MOST, Subscription
from service.engine.foundation.frames import Frame, frame_of
from service.engine.foundation.problems import Problem, Unavailable
from service.engine.foundation.wire import (
    HistoryGap,
    SendSignal,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    UserId,
)
from service.engine.link.limits import TokenBucket
from service.engine.streams.event import Passing

_LARGEST_SIGNAL = 1_024
"""Bytes of JSON."""
_SIGNALS_A_SECOND, _SIGNALS_AT_ONCE = 10, 20
"""Of one connection: somebody types, or moves a cursor."""

_logger = structlog.get_logger(__name__)


class ManyStreams:
    """The subscriber of all of them. Nothing that it is asked for waits, and what fails for one leaves the others."""

    form = attrgetter("named_frame")

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self._names = session.runtime.streams.names
        self._subscriptions = session.subscriptions
        self.id = session.id
        self._signals = TokenBucket(_SIGNALS_A_SECOND, _SIGNALS_AT_ONCE)
        session.bucket.widen(MOST)  # a client that comes back asks for all it had at once

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._subscriptions.end_all()

    def obey(self, request: Subscribe | Unsubscribe | SendSignal) -> None:
        """Do what a client asks for, or say why not."""
        try:
            match request:
                case Subscribe():
                    self._subscribe(request)
                case Unsubscribe():
                    self._unsubscribe(request)
                case SendSignal():
                    self._signal(request)
        except Problem as problem:
            self._refuse(problem, request.stream, request.client_id)

    def _subscribe(self, request: Subscribe) -> None:
        key = self._names.key(request.stream)
        if request.presence and not key.stream.presence:
            raise Problem("no_presence", "This stream does not show who is there.")
        subscription = self._subscriptions.begin(key, self)
        self._subscriptions.start(subscription, self._follow(subscription, request))

    def _unsubscribe(self, request: Unsubscribe) -> None:
        self._names.key(request.stream)
        if (subscription := self._subscriptions.find(request.stream)) is not None:
            self._subscriptions.end(subscription)
        self._session.push(frame_of(Unsubscribed(stream=request.stream)))

    def _signal(self, request: SendSignal) -> None:
        """A signal that is not sent is lost: nobody tries it again."""
        if not self._names.key(request.stream).stream.signals:
            raise Problem("no_signals", "This stream takes no signals.")
        if self._subscriptions.find(request.stream) is None:
            raise Problem("not_subscribed", "Who signals on a stream follows it.")
        if len(to_json(request.data)) > _LARGEST_SIGNAL:
            raise Problem.invalid_message("data", f"at most {_LARGEST_SIGNAL} bytes")
        if not self._signals.take(monotonic()):
            raise Problem("rate_limited", "Too many signals: this one was dropped.")
        user = self._session.user_id
        assert user is not None, "the endpoint is for users"
        self._session.runtime.signals.send(request.stream, user, self.id, request.data)

    async def _follow(self, subscription: Subscription, request: Subscribe) -> None:
        try:
            if not await self._subscriptions.wait_open(subscription):
                raise Unavailable
            await self._subscriptions.check(subscription)
        except Problem as problem:
            self._give_up(subscription, problem, request.client_id)
        except Exception:
            _logger.exception("reader_failed", connection_id=self.id, stream=subscription.key.stream.name)
            self._give_up(subscription, Problem("internal_error", "Something went wrong here."), request.client_id)
        else:
            await self._subscriptions.catch_up(subscription, request.after)
            if request.presence:
                self._appear(subscription)

    def _appear(self, subscription: Subscription) -> None:
        """Be on the stream for others, until the subscription ends."""
        presence, stream, user = self._session.runtime.presence, subscription.key.name, self._session.user_id
        assert user is not None, "the endpoint is for users"
        presence.join(stream, user, self)
        subscription.when_ended = lambda: presence.leave(stream, user, self)

    def _give_up(self, subscription: Subscription, problem: Problem, client_id: str | None) -> None:
        if not subscription.ended:
            subscription.task = None  # it is what runs here
            self._subscriptions.end(subscription)
            self._refuse(problem, subscription.key.name, client_id)

    def _refuse(self, problem: Problem, stream: str, client_id: str | None) -> None:
        self._session.answer_problem(problem, client_id, stream)

    # What topics tell

    @property
    def user_id(self) -> UserId | None:
        return self._session.user_id

    def push(self, encoded: Frame) -> None:
        self._session.push(encoded)

    async def drained(self) -> None:
        await self._session.drained()

    def caught_up(self, stream: str, seq: int) -> None:
        self._session.push(frame_of(Subscribed(stream=stream, seq=seq)))

    def fell_behind(self, stream: str, after: int, seq: int) -> None:
        self._session.push(frame_of(HistoryGap(stream=stream, after=after, seq=seq)))
        self.caught_up(stream, seq)

    def signalled(self, signal: Passing, origin: str) -> None:
        if origin != self.id and not self._session.link.congested:
            self._session.push(signal.frame)

    def expel(self, stream: str) -> None:
        if (subscription := self._subscriptions.find(stream)) is not None:
            self._subscriptions.end(subscription)
            self._session.push(frame_of(no_longer(stream)))
