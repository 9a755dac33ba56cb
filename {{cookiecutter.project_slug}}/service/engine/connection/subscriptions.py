"""The streams that one client follows."""

import asyncio
from contextlib import suppress
from typing import Any, Protocol, Self

from service.engine.auth.principal import Principal
from service.engine.delivery.catch_up import catch_up
from service.engine.delivery.hub import Hub
from service.engine.delivery.topic import Subscriber, Topic
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Problem, Unavailable
from service.engine.foundation.tasks import Tasks
from service.engine.streams.stream import StreamKey

_OPEN_SECONDS = 2.0
"""How long a handshake waits for its subscription to be in place; after that it is accepted all the same."""
_MOST = 100


class Owner(Subscriber, Protocol):
    """Whose subscriptions they are."""

    principal: Principal | None
    tasks: Tasks


class Subscription:
    """A block in which a client follows a stream. A generator would do it, for 2 KiB of each connection."""

    __slots__ = ("_subscriptions", "_topic", "catching_up", "ended", "key")

    def __init__(self, subscriptions: "Subscriptions", key: StreamKey[Any]) -> None:
        self._subscriptions = subscriptions
        self._topic: Topic | None = None
        self.key = key
        self.catching_up: asyncio.Task[None] | None = None
        self.ended = False

    @property
    def topic(self) -> Topic:
        assert self._topic is not None, "only in the block"
        return self._topic

    async def __aenter__(self) -> Self:
        self._topic = self._subscriptions.begin(self)
        try:
            await self._subscriptions.prepare(self)
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def end(self, subscriber: str) -> None:
        self.ended = True
        self.topic.subscribers.pop(subscriber, None)
        self.topic.live.pop(subscriber, None)
        if self.catching_up is not None:
            self.catching_up.cancel()

    def _leave(self) -> None:
        self._subscriptions.finish(self)
        self._topic = None


class Subscriptions:
    """By the stream's name, in the order in which they began."""

    __slots__ = ("_hub", "_metrics", "_open", "_owner")

    def __init__(self, owner: Owner, hub: Hub, metrics: Metrics) -> None:
        self._owner = owner
        self._hub = hub
        self._metrics = metrics
        self._open: list[Subscription] = []

    def opened(self, key: StreamKey[Any]) -> Subscription:
        """A subscription that is in place in the block but not sent anything yet: `follow` starts it.

        Its user is asked for once the topic is open, so that a right which ends later ends it.

        Raises, where the block begins:
            Problem: The user may not read the stream; `too_many_subscriptions`; `unavailable`.
        """
        return Subscription(self, key)

    def begin(self, subscription: Subscription) -> Topic:
        """Hold the topic, and have it know us; raises Problem, `too_many_subscriptions`."""
        if len(self._open) >= _MOST:
            self._metrics.limits.labels("subscriptions").inc()
            raise Problem("too_many_subscriptions", f"A connection may follow {_MOST} streams.")
        topic = self._hub.join(subscription.key)
        self._open.append(subscription)
        topic.subscribers[self._owner.id] = self._owner
        return topic

    async def prepare(self, subscription: Subscription) -> None:
        """Wait until the topic is open, and ask whether the user may read it."""
        if not subscription.topic.opened.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_OPEN_SECONDS):
                    await subscription.topic.opened.wait()
        await self._check(subscription.key, self._owner.principal)

    def finish(self, subscription: Subscription) -> None:
        """The block has ended."""
        self._open.remove(subscription)
        if not subscription.ended:
            subscription.end(self._owner.id)
        self._hub.leave(subscription.topic)

    def follow(self, subscription: Subscription, after: int | None) -> None:
        """Send what came after the position `after`, if one is given, then what comes live."""
        if subscription.ended:
            return
        topic = subscription.topic
        if after is None:
            topic.live[self._owner.id] = self._owner
        else:
            subscription.catching_up = self._owner.tasks.start(catch_up(self._owner, self._hub, topic, after))

    def end(self, stream: str) -> bool:
        """Send no more of a stream; returns whether anything of it was sent."""
        found = [each for each in self._open if each.key.name == stream and not each.ended]
        for subscription in found:
            subscription.end(self._owner.id)
        return bool(found)

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
