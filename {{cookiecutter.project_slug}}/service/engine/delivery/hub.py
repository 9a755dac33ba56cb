"""The topics of this process, and their way to the broker and the database."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog

from service.engine.delivery.presence import Presence
from service.engine.delivery.topic import Topic
from service.engine.foundation.backoff import Backoff
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.operations import Around, Operation
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.tasks import Tasks
from service.engine.streams.stored import Announcement, StoredStream, read_positions
from service.engine.streams.stream import StreamKey
from service.engine.streams.streams import DeclaredStreams

_RECONCILE_SECONDS = 3.0
"""How often the topics are compared with the database, so that a lost last event is not lost for good."""
_LISTEN_SECONDS = 0.5
"""How long new topics wait for a broker that is slow; after that, comparing brings what it does not carry yet."""

_logger = structlog.get_logger(__name__)


class Hub:
    """All topics of this process."""

    def __init__(
        self, streams: DeclaredStreams, presence: Presence, metrics: Metrics, around: Around | None = None
    ) -> None:
        self.database = streams.database
        self._presence = presence
        self._streams = streams
        self._broker = streams.broker
        self._metrics = metrics
        self._around = around
        self._repairs = Tasks(self._failed)
        self._topics: dict[str, Topic] = {}
        self._unopened: list[Topic] = []
        self._wanted = asyncio.Event()
        self._asked: list[tuple[Topic, asyncio.Future[int]]] = []
        self._asking = asyncio.Event()
        self._resumed = asyncio.Event()

    def join(self, key: StreamKey[Any]) -> Topic:
        """The topic of a stream, which may still be opening; kept until whoever joined has left."""
        topic = self._topics.get(key.name) or self._new_topic(self._streams.stored(key))
        topic.holders += 1
        return topic

    def leave(self, topic: Topic) -> None:
        topic.holders -= 1
        if not topic.holders:
            self._forget(topic)

    async def receive(self, name: str, payload: str) -> None:
        """Take an event from the broker."""
        self._metrics.events.inc()
        if (topic := self._topics.get(name)) is not None:
            try:
                announced = topic.stream.announced(payload)
                if self._around is None or announced.seq is None:
                    topic.receive(announced)
                else:
                    await self._deliver(self._around, topic, announced)
            except ValueError as error:  # the topic finds the gap and reads its table
                self._metrics.unreadable_events.inc()
                _logger.error("event_unreadable", topic=name, error=type(error).__name__)  # noqa: TRY400 - it would show data

    def resumed(self) -> None:
        """The broker is connected again: look for what it did not carry meanwhile."""
        self._resumed.set()

    async def open_topics(self) -> None:
        """Open new topics, all that came meanwhile in one go: listen first, then read how far each stream is.

        A broker that is away listens when it is back, and nobody waits for it.
        """
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            topics, self._unopened = [topic for topic in self._unopened if topic.holders], []
            try:
                if topics:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LISTEN_SECONDS if self._broker.connected else 0):
                            await self._broker.listen([topic.stream.name for topic in topics])
                    positions = await self._positions(topics)
            except Exception:
                self._unopened += topics
                self._wanted.set()
                raise
            for topic in topics:
                topic.open(positions.get(topic.stream.name, 0))

    async def settled(self, topic: Topic, *, opens: bool) -> None:
        """Return when the topic has delivered whatever was committed before the call.

        `opens`: whether it was opened for the caller, or will be, and so reads how far the stream is anyway.
        """
        if topic.is_open and not opens:
            answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._asked.append((topic, answer))
            self._asking.set()
            await topic.reached(await answer)
        else:
            await topic.opened()
            await topic.reached(topic.opened_at)

    async def answer_positions(self) -> None:
        """Tell how far streams are: one query for all who asked while the last one ran."""
        while True:
            await self._asking.wait()
            self._asking.clear()
            asked, self._asked = self._asked, []
            try:
                positions = await self._positions([topic for topic, _ in asked])
            except Exception:
                self._asked += asked
                self._asking.set()
                raise
            for topic, answer in asked:
                position = positions.get(topic.stream.name, 0)
                topic.reconcile(position)
                if not answer.done():
                    answer.set_result(position)

    async def reconcile_topics(self) -> None:
        """Compare the topics with the database: now and then, and at once when the broker is back."""
        while True:
            try:
                async with asyncio.timeout(_RECONCILE_SECONDS):
                    await self._resumed.wait()
            except TimeoutError:
                pass
            self._resumed.clear()
            topics = [topic for topic in self._topics.values() if topic.is_open]
            if topics:
                positions = await self._positions(topics)
                for topic in topics:
                    topic.reconcile(positions.get(topic.stream.name, 0))

    async def _deliver(self, around: Around, topic: Topic, announced: Announcement) -> None:
        """What goes wrong around an event is as if the event had been lost: the topic reads its table."""
        stream = topic.stream.key
        operation = Operation(
            kind="delivery", name=stream.stream.name, stream=stream.name, traceparent=announced.traceparent
        )
        try:
            async with around(operation):
                if topic.holders:
                    topic.receive(announced)
        except Exception as error:
            self._failed(error)

    async def close(self) -> None:
        await self._repairs.ended()

    def _failed(self, error: BaseException) -> None:
        self._metrics.delivery_errors.inc()
        _logger.error("delivery_failed", exc_info=error)

    def _new_topic(self, stream: StoredStream[Any]) -> Topic:
        topic = self._topics[stream.name] = Topic(stream, self._presence, self._repairs, self._metrics)
        self._metrics.topics.inc()
        self._unopened.append(topic)
        self._wanted.set()
        return topic

    def _forget(self, topic: Topic) -> None:
        topic.close()
        del self._topics[topic.stream.name]
        self._metrics.topics.dec()
        self._broker.forget(topic.stream.name)

    async def _positions(self, topics: Sequence[Topic]) -> Mapping[str, int]:
        backoff = Backoff()
        while True:
            try:
                return await read_positions(self.database, [topic.stream.name for topic in topics])
            except Unavailable:
                await backoff.wait()
