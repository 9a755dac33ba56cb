"""One stream in this process: each event, in order and once, to every connection that follows it.

An event that comes in turn is delivered at once. One that does not, because a broker lost, reordered or could not carry
something, makes the topic read what is missing from its stream's table before it goes on.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import structlog

from service.engine.delivery.presence import Presence
from service.engine.delivery.recent import RecentEvents
from service.engine.foundation.backoff import Backoff
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.tasks import Tasks
from service.engine.foundation.wire import Signal, UserId
from service.engine.streams.event import Event, Form, Passing
from service.engine.streams.stored import HISTORY_LIMIT, Announcement, Signalled, StoredStream

_ON_ITS_WAY_SECONDS = 0.05
"""How long we wait for an event that is known to be committed, before we read it from the table."""

_logger = structlog.get_logger(__name__)


class Subscriber(Protocol):
    """Who follows a topic."""

    id: str

    @property
    def form(self) -> Form:
        """What it is sent of each event; of few kinds."""

    @property
    def user_id(self) -> UserId | None:
        """Who it is, where that is known."""

    def push(self, encoded: Any) -> None:
        """Send an event, in its form, as soon as it can be sent."""

    async def drained(self) -> None:
        """Return when it has read most of what it was sent."""

    def caught_up(self, stream: str, seq: int) -> None:
        """It was sent everything up to `seq`; what follows is live."""

    def fell_behind(self, stream: str, after: int, seq: int) -> None:
        """It was not sent what came after `after`, because that is too much; what follows `seq` is live."""

    def signalled(self, signal: Passing, origin: str) -> None:
        """Somebody, on the connection `origin`, signals."""

    def expel(self, stream: str) -> None:
        """Its user may not read the stream any longer: it is sent no more of it."""


class Topic:
    """One stream and its subscribers in this process.

    `position` is the last event that the live subscribers have got. It is unknown until the broker listens and the
    stream's position has been read; what is published after that cannot be missed.
    """

    def __init__(self, stream: StoredStream[Any], presence: Presence, repairs: Tasks, metrics: Metrics) -> None:
        self.stream = stream
        self._presence = presence
        self.holders = 0
        """How many subscriptions keep it."""
        self.subscribers: dict[str, Subscriber] = {}
        """All of them, those that are catching up too."""
        self._live: dict[Form, dict[str, Subscriber]] = {}
        """Those that are sent what comes, by the form that they take."""
        self.position = 0
        self.is_open = False
        self.opened_at = 0
        """How far the stream was when it was opened."""
        self._metrics = metrics
        self._repairs = repairs
        self._newest = 0
        self._first = 0
        self._early: dict[int, Event] = {}
        self._recent = RecentEvents()
        self._reading = asyncio.Lock()
        self._wanted: list[int] = []
        self._repair: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def add(self, subscriber: Subscriber) -> None:
        """Count a subscriber that is sent nothing yet."""
        self.subscribers[subscriber.id] = subscriber

    def go_live(self, subscriber: Subscriber) -> None:
        """Send a subscriber what comes from now on."""
        self._live.setdefault(subscriber.form, {})[subscriber.id] = subscriber

    def remove(self, subscriber: Subscriber) -> None:
        self.subscribers.pop(subscriber.id, None)
        self._live.get(subscriber.form, {}).pop(subscriber.id, None)

    def open(self, position: int) -> None:
        """Go live after `position`, or before the first event that came while nobody knew it."""
        self.opened_at = position
        self._newest = max(self._newest, position)
        self.position = min(position, self._first - 1) if self._first else position
        self.is_open = True
        self._tell_waiting()
        if self._newest > self.position:
            self.repair()

    def receive(self, announced: Announcement) -> None:
        """Take what the broker carried: an event, for one too large only its `seq`, or what is no event."""
        if announced.revoked is not None:
            self._expel(announced.revoked)
        if announced.presence is not None:
            self._presence.receive(self.stream.name, announced.presence)
        if announced.signal is not None:
            self._pass_on(announced.signal)
        seq, event = announced.seq, announced.event
        if seq is None:
            return
        self._newest = max(self._newest, seq)
        if not self.is_open:
            self._first = min(seq, self._first or seq)
            return
        if seq <= self.position:
            return
        if event is not None:
            self._early[seq] = event
            self._deliver_in_turn()
        if self._newest > self.position:
            self.repair(after=_ON_ITS_WAY_SECONDS if event is not None and len(self._early) < HISTORY_LIMIT else 0)

    def reconcile(self, last_seq: int) -> None:
        """Learn that the stream has come to `last_seq`."""
        self._newest = max(self._newest, last_seq)
        if self.is_open and self._newest > self.position:
            self.repair(after=_ON_ITS_WAY_SECONDS)

    async def opened(self) -> None:
        """Return when it is open."""
        while not self.is_open:
            await self._moved()

    async def reached(self, seq: int) -> None:
        """Return when everything up to `seq` has been delivered."""
        while self.position < seq:
            await self._moved()

    def repair(self, after: float = 0) -> None:
        """Read what is missing, unless it arrives within `after` seconds."""
        if self._repair is None or self._repair.done():
            self._repair = self._repairs.start(self._read_missing(after))

    def close(self) -> None:
        if self._repair is not None:
            self._repairs.stop(self._repair)

    async def events_after(self, position: int) -> list[Event]:
        """The events after `position` up to the topic's own, oldest first, at most `HISTORY_LIMIT`.

        Those who ask at the same time share one query, and later ones the events it found. Waits as long as the
        database is unavailable.
        """
        self._wanted.append(position)
        try:
            async with self._reading:
                if position >= self.position:
                    return []
                if (recent := self._recent.after(position)) is not None:
                    return recent
                found = await self._query(min(self._wanted))
                self._recent.add_older(found, self.position)
                if found and found[-1].seq <= position:  # somebody far behind asked too, and the page ends before us
                    found = await self._query(position)
                return [event for event in found if position < event.seq <= self.position]
        finally:
            self._wanted.remove(position)

    def _expel(self, user: str) -> None:
        for subscriber in tuple(self.subscribers.values()):
            if str(subscriber.user_id) == user:
                subscriber.expel(self.stream.name)

    def _pass_on(self, signalled: Signalled) -> None:
        signal = Passing(Signal(stream=self.stream.name, user_id=signalled["user"], data=signalled["data"]))
        for subscribers in self._live.values():
            for subscriber in subscribers.values():
                subscriber.signalled(signal, signalled["origin"])

    def _deliver_in_turn(self) -> None:
        while (event := self._early.pop(self.position + 1, None)) is not None:
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        self._move_to(event.seq)
        self._recent.add(event)
        for form, subscribers in self._live.items():
            encoded = form(event)
            origin = subscribers.get(event.origin) if event.origin else None
            for subscriber in subscribers.values():
                if subscriber is not origin:
                    subscriber.push(encoded)

    async def _moved(self) -> None:
        moved = asyncio.get_running_loop().create_future()
        self._waiting.append(moved)
        await moved

    def _move_to(self, position: int) -> None:
        self.position = position
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for moved in waiting:
            if not moved.done():
                moved.set_result(None)

    async def _read_missing(self, after: float) -> None:
        await asyncio.sleep(after)
        while self.position < self._newest:
            self._metrics.gaps.inc()
            found = await self._query(self.position)
            if not found:
                _logger.warning("events_missing", topic=self.stream.name, after=self.position, seq=self._newest)
                self._move_to(self._newest)
            for event in found:
                if event.seq > self.position:
                    self._deliver(event)
            self._deliver_in_turn()
            for seq in [seq for seq in self._early if seq <= self.position]:
                del self._early[seq]

    async def _query(self, after: int) -> Sequence[Event]:
        backoff = Backoff()
        while True:
            self._metrics.history_queries.inc()
            try:
                return await self.stream.read(after, HISTORY_LIMIT)
            except Unavailable:
                await backoff.wait()
