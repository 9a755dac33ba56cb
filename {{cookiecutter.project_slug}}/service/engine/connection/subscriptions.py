"""The streams that one client follows."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from service.engine.auth.principal import Principal
from service.engine.delivery.catch_up import catch_up
from service.engine.delivery.hub import Hub
from service.engine.delivery.topic import Subscriber, Topic
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Problem, Unavailable
from service.engine.foundation.tasks import Tasks
from service.engine.streams.stream import StreamKey

MOST = 100
"""Streams that one connection may follow."""
_OPEN_SECONDS = 2.0
"""How long a subscription waits for its topic."""


class Owner(Protocol):
    """Whose subscriptions they are."""

    principal: Principal | None
    tasks: Tasks


@dataclass(eq=False, slots=True)
class Subscription:
    """One stream that a client follows, or is about to."""

    key: StreamKey[Any]
    topic: Topic
    subscriber: Subscriber
    opens: bool
    """Whether the topic was opened for it, or will be."""
    task: asyncio.Task[None] | None = None
    """What brings it to where it is live."""
    ended: bool = False
    when_ended: Callable[[], None] | None = None


class Subscriptions:
    """All of one client, in the order in which they began. They count until they are ended."""

    __slots__ = ("_hub", "_metrics", "_open", "_owner")

    def __init__(self, owner: Owner, hub: Hub, metrics: Metrics) -> None:
        self._owner = owner
        self._hub = hub
        self._metrics = metrics
        self._open: list[Subscription] = []

    @asynccontextmanager
    async def opened(self, key: StreamKey[Any], subscriber: Subscriber) -> AsyncIterator[Subscription]:
        """A subscription in the block, in place but not sent anything yet: `follow` starts it.

        Raises:
            Problem: The user may not read the stream; `too_many_subscriptions`; `already_subscribed`; `unavailable`.
        """
        subscription = self.begin(key, subscriber)
        try:
            await self.wait_open(subscription)
            await self.check(subscription)
            yield subscription
        finally:
            self.end(subscription)

    def begin(self, key: StreamKey[Any], subscriber: Subscriber) -> Subscription:
        """Take a place; raises Problem, `too_many_subscriptions` or `already_subscribed`."""
        if self.find(key.name) is not None:
            raise Problem("already_subscribed", "The connection follows this stream already.", status=409)
        if len(self._open) >= MOST:
            self._metrics.limits.labels("subscriptions").inc()
            raise Problem("too_many_subscriptions", f"A connection may follow {MOST} streams.")
        topic = self._hub.join(key)
        subscription = Subscription(key, topic, subscriber, opens=not topic.is_open)
        self._open.append(subscription)
        topic.add(subscriber)
        return subscription

    async def wait_open(self, subscription: Subscription) -> bool:
        """Wait for the topic, within bounds; returns whether it is open."""
        if subscription.topic.is_open:
            return True
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await subscription.topic.opened()
        except TimeoutError:
            return False
        return True

    async def check(self, subscription: Subscription) -> None:
        """Ask whether the user may read the stream: once the topic is open, so that a right that ends later ends it.

        Raises:
            Problem: They may not; `unavailable`.
        """
        await self._check(subscription.key, self._owner.principal)

    def follow(self, subscription: Subscription, after: int | None) -> None:
        """Send what came after the position `after`, if one is given, then what comes live."""
        if subscription.ended:
            return
        if after is None:
            subscription.topic.go_live(subscription.subscriber)
        else:
            self.start(subscription, self.catch_up(subscription, after))

    async def catch_up(self, subscription: Subscription, after: int | None) -> None:
        """Send what came after the position `after`, or nothing of what was committed by now; then what comes live."""
        if subscription.ended:
            return
        topic = subscription.topic
        await catch_up(subscription.subscriber, self._hub, topic, after, opens=subscription.opens)

    def start(self, subscription: Subscription, work: Coroutine[Any, Any, None]) -> None:
        """Run what ends with the subscription."""

        def forget(_task: asyncio.Task[None]) -> None:
            subscription.task = None

        subscription.task = self._owner.tasks.start(work)
        subscription.task.add_done_callback(forget)

    def find(self, stream: str) -> Subscription | None:
        return next((each for each in self._open if each.key.name == stream), None)

    def end(self, subscription: Subscription) -> None:
        """Send no more of a stream; nothing if that is so already."""
        if not subscription.ended:
            subscription.ended = True
            self._open.remove(subscription)
            subscription.topic.remove(subscription.subscriber)
            if subscription.task is not None:
                self._owner.tasks.stop(subscription.task)
            if subscription.when_ended is not None:
                subscription.when_ended()
            self._hub.leave(subscription.topic)

    def end_all(self) -> None:
        for subscription in tuple(self._open):
            self.end(subscription)

    async def forbidden_to(self, principal: Principal) -> list[str]:
        """The streams among them that `principal` may not read; raises Unavailable."""
        found = []
        for subscription in tuple(self._open):
            try:
                await self._check(subscription.key, principal)
            except Unavailable:
                raise
            except Problem:
                found.append(subscription.key.name)
        return found

    async def _check(self, key: StreamKey[Any], principal: Principal | None) -> None:
        if principal is None:
            raise TypeError(f"{key.name} is read by users: declare an AuthenticatedConnection")
        await key.stream.check_reader(key, principal, self._hub.database)
