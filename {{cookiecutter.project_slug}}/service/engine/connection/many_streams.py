"""One client that follows many streams on one connection, and is told of each by its name."""

from operator import attrgetter
from typing import Self

import structlog

from service.engine.connection.session import ClientSession, no_longer
from service.engine.connection.subscriptions import MOST, Subscription
from service.engine.foundation.frames import Frame, frame_of
from service.engine.foundation.problems import Problem, Unavailable
from service.engine.foundation.wire import HistoryGap, Subscribed, Unsubscribed, UserId

_logger = structlog.get_logger(__name__)


class ManyStreams:
    """The subscriber of all of them. Nothing that it is asked for waits, and what fails for one leaves the others."""

    form = attrgetter("named_frame")

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self._names = session.runtime.streams.names
        self._subscriptions = session.subscriptions
        self.id = session.id
        session.bucket.widen(MOST)  # a client that comes back asks for all it had at once

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._subscriptions.end_all()

    def subscribe(self, stream: str, after: int | None, client_id: str | None) -> None:
        """Follow a stream: what came after the position `after`, if one is given, then where it is, then what comes."""
        try:
            subscription = self._subscriptions.begin(self._names.key(stream), self)
        except Problem as problem:
            self._refuse(problem, stream, client_id)
        else:
            self._subscriptions.start(subscription, self._follow(subscription, after, client_id))

    def unsubscribe(self, stream: str, client_id: str | None) -> None:
        """Follow a stream no longer, whether or not it was followed."""
        try:
            self._names.key(stream)
        except Problem as problem:
            self._refuse(problem, stream, client_id)
            return
        if (subscription := self._subscriptions.find(stream)) is not None:
            self._subscriptions.end(subscription)
        self._session.push(frame_of(Unsubscribed(stream=stream)))

    async def _follow(self, subscription: Subscription, after: int | None, client_id: str | None) -> None:
        try:
            if not await self._subscriptions.wait_open(subscription):
                raise Unavailable
            await self._subscriptions.check(subscription)
        except Problem as problem:
            self._give_up(subscription, problem, client_id)
        except Exception:
            _logger.exception("reader_failed", connection_id=self.id, stream=subscription.key.stream.name)
            self._give_up(subscription, Problem("internal_error", "Something went wrong here."), client_id)
        else:
            if after is not None:
                await self._subscriptions.catch_up(subscription, after)
            else:
                self.caught_up(subscription.key.name, subscription.topic.position)
                subscription.topic.go_live(self)

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

    def expel(self, stream: str) -> None:
        if (subscription := self._subscriptions.find(stream)) is not None:
            self._subscriptions.end(subscription)
            self._session.push(frame_of(no_longer(stream)))
