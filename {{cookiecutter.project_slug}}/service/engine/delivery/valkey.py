"""Events by Valkey (or Redis) publish and subscribe: sent after the commit, read from the table if one is lost."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog
from valkey.asyncio import Valkey
from valkey.asyncio.client import PubSub
from valkey.exceptions import ValkeyError

from service.engine.foundation.backoff import Backoff
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.reporting import Trouble
from service.engine.streams.broker import Receive

_TIMEOUT = 2.0
_PROBE_SECONDS = 5.0
_LAST = "$subscribed"
"""A topic that is subscribed to after all others, so that its confirmation says that all are; no stream's name."""
_LOST = (ValkeyError, OSError, TimeoutError)
_MOST_UNPUBLISHED = 10_000
"""How many events wait for a Valkey that does not answer; beyond it the oldest are left to the table."""
_LARGEST_BATCH = 500

_logger = structlog.get_logger(__name__)


async def _nothing() -> str:
    return ""


class ValkeyBroker:
    """One connection that listens to the topics with subscribers in this process, and a pool that publishes."""

    def __init__(self, url: str, metrics: Metrics, whose: Callable[[], Awaitable[str]] = _nothing) -> None:
        """`whose` tells what channels begin with, or raises Unavailable: services share all channels of a Valkey."""
        self._metrics = metrics
        self._whose = whose
        self._prefix: str | None = None
        self._client: Valkey = Valkey.from_url(
            url, decode_responses=True, socket_connect_timeout=_TIMEOUT, socket_timeout=_TIMEOUT, socket_keepalive=True
        )
        self._topics: set[str] = set()
        self._unwanted: set[str] = set()
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._subscriptions: PubSub | None = None
        self._unsent = Trouble("publish_failed")
        self._trouble = Trouble("broker_unavailable")
        self._unpublished: deque[tuple[str, str]] = deque(maxlen=_MOST_UNPUBLISHED)
        self._publishing = asyncio.Event()
        self._published = asyncio.Event()
        self._published.set()

    @property
    def connected(self) -> bool:
        return self._subscriptions is not None

    def channel(self, topic: str) -> str | None:  # noqa: ARG002
        return None

    def publish(self, topic: str, payload: str) -> None:
        if len(self._unpublished) == _MOST_UNPUBLISHED:
            self._metrics.events_dropped.inc()  # the processes that wait for it read the table
        self._unpublished.append((topic, payload))
        self._published.clear()
        self._publishing.set()

    async def signal(self, batch: Sequence[tuple[str, str]]) -> bool:
        if self._prefix is None:
            return False
        try:
            await self._publish(self._prefix, batch)
        except _LOST:
            return False
        return True

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        publisher = asyncio.create_task(self._publish_all())
        try:
            yield
            with suppress(TimeoutError):
                async with asyncio.timeout(_TIMEOUT):
                    await self._published.wait()
        finally:
            publisher.cancel()
            await asyncio.gather(publisher, return_exceptions=True)
            await self.close()

    async def listen(self, topics: Iterable[str]) -> None:
        wanted = tuple(topics)
        self._topics.update(wanted)
        self._unwanted.difference_update(wanted)
        confirmations = [self._confirmation(topic) for topic in wanted]
        try:
            await self._subscribe(wanted)
        except _LOST as error:
            _logger.debug("subscribe_failed", error=str(error))  # `run` reconnects and subscribes to all
        await asyncio.gather(*map(asyncio.shield, confirmations))

    def forget(self, topic: str) -> None:
        self._topics.discard(topic)
        self._unwanted.add(topic)
        if (confirmation := self._confirmed.get(topic)) is not None and not confirmation.done():
            self._confirm(topic)  # nobody else will: whoever still waits for it waits for others too

    async def run(self, receive: Receive, resumed: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish_all())
            group.create_task(self._stay_subscribed(receive, resumed))

    async def _publish_all(self) -> None:
        """Publish what has been committed, in order, all that came meanwhile in one round trip."""
        prefix = await self._known_prefix()
        while True:
            await self._publishing.wait()
            self._publishing.clear()
            while self._unpublished:
                batch = [self._unpublished.popleft() for _ in range(min(len(self._unpublished), _LARGEST_BATCH))]
                try:
                    await self._publish(prefix, batch)
                except _LOST as error:
                    self._metrics.events_dropped.inc(len(batch))
                    self._unsent.failed(error)
                else:
                    self._unsent.over()
            self._published.set()

    async def _publish(self, prefix: str, batch: Sequence[tuple[str, str]]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for topic, payload in batch:
                pipeline.publish(prefix + topic, payload)
            await pipeline.execute()

    async def _stay_subscribed(self, receive: Receive, resumed: Callable[[], None]) -> None:
        backoff = Backoff()
        while True:
            try:
                async with self._client.pubsub() as subscriptions:
                    await subscriptions.connect()
                    prefix = await self._known_prefix()
                    self._unwanted.clear()
                    self._confirmed = {topic: future for topic, future in self._confirmed.items() if not future.done()}
                    await subscriptions.subscribe(*(prefix + topic for topic in (*self._topics, _LAST)))
                    await self._receive_all(subscriptions, prefix, receive, resumed, backoff)
            except _LOST as error:
                self._metrics.broker_reconnects.inc(self.connected)
                self._trouble.failed(error)
            finally:
                self._use(None)
            await backoff.wait()

    async def close(self) -> None:
        await self._client.aclose()

    async def _known_prefix(self) -> str:
        backoff = Backoff()
        while self._prefix is None:
            try:
                self._prefix = await self._whose()
            except Unavailable:
                await backoff.wait()
        return self._prefix

    async def _receive_all(
        self, subscriptions: PubSub, prefix: str, receive: Receive, resumed: Callable[[], None], backoff: Backoff
    ) -> None:
        while True:
            message = await subscriptions.get_message(timeout=_PROBE_SECONDS)
            if message is None:
                await subscriptions.ping()
                message = await subscriptions.get_message(timeout=_TIMEOUT)
                if message is None:
                    raise TimeoutError("no answer to a ping")
            match message:
                case {"type": "message", "channel": channel, "data": payload}:
                    await receive(channel.removeprefix(prefix), payload)
                case {"type": "subscribe", "channel": channel} if channel == prefix + _LAST:
                    self._use(subscriptions)
                    await self._subscribe(self._topics)  # to those that were added meanwhile
                    backoff.reset()
                    self._trouble.over()
                    resumed()
                case {"type": "subscribe", "channel": channel}:
                    if (topic := channel.removeprefix(prefix)) in self._topics:  # not forgotten meanwhile
                        self._confirm(topic)
            if self._unwanted:
                await self._unsubscribe(subscriptions)

    async def _subscribe(self, topics: Iterable[str]) -> None:
        missing = [topic for topic in topics if not self._confirmation(topic).done()]
        if self._subscriptions is not None and missing:
            await self._subscriptions.subscribe(*map(self._channel, missing))

    async def _unsubscribe(self, subscriptions: PubSub) -> None:
        unwanted, self._unwanted = self._unwanted, set()
        for topic in unwanted:
            self._confirmed.pop(topic, None)
        await subscriptions.unsubscribe(*map(self._channel, unwanted))

    def _confirmation(self, topic: str) -> asyncio.Future[None]:
        if topic not in self._confirmed:
            self._confirmed[topic] = asyncio.get_running_loop().create_future()
        return self._confirmed[topic]

    def _confirm(self, topic: str) -> None:
        confirmation = self._confirmation(topic)
        if not confirmation.done():
            confirmation.set_result(None)

    def _channel(self, topic: str) -> str:
        assert self._prefix is not None, "whose channels they are is known before anything is subscribed to"
        return self._prefix + topic

    def _use(self, subscriptions: PubSub | None) -> None:
        self._subscriptions = subscriptions
        self._metrics.broker_connected.set(self.connected)
