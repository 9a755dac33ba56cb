"""Who is on the streams, as this process tells its subscribers: exact over all processes, soon after each change.

A user is in the table once for each process, from the first subscription that asks for presence until some seconds
after the last. Whoever is told knows the list at a version; what does not follow on it is read from the table.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice, takewhile
from time import monotonic
from typing import Protocol

from service.engine.delivery.presence_table import Place, PresenceTable
from service.engine.foundation.backoff import Backoff
from service.engine.foundation.frames import Frame, frame_of
from service.engine.foundation.identity import user_id
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.wire import Joined, Left, UserId
from service.engine.foundation.wire import Presence as PresenceList
from service.engine.storage.database import Database
from service.engine.streams.broker import Broker
from service.engine.streams.stored import PresenceChange

MOST_LISTED = 1_000
"""Users that a list names."""
_MOST_KEPT = 50_000
"""Users of a stream that a process knows by name; of more it knows how many there are."""
_GRACE_SECONDS = 6.0
"""How long after its last subscription a user is still there: whoever comes back was never gone."""
_BEAT_SECONDS = 2.0
_DEAD_SECONDS = 8.0
"""After how long without a sign of life a process counts as dead."""


class Watcher(Protocol):
    """Who is told who is there."""

    id: str

    def push(self, encoded: Frame) -> None: ...


class _Watched:
    """A stream whose presence subscribers of this process have asked for."""

    def __init__(self) -> None:
        self.version: int | None = None
        """Of what is known; None before anything is."""
        self.newest = 0
        """Of what has been heard of."""
        self.users: set[str] | None = set()
        """None where there are too many."""
        self.count = 0
        self.watchers: dict[str, Watcher] = {}
        self.waiting: dict[str, tuple[Watcher, str, int]] = {}
        """Those that have not been told yet: with their user, and the version from which that one is there."""

    @property
    def is_behind(self) -> bool:
        return self.version is None or self.version < self.newest


class Presence:
    """Of all streams that are declared to show it."""

    def __init__(self, database: Database, broker: Broker, metrics: Metrics) -> None:
        self._table = PresenceTable(secrets.token_hex(8), database, broker)
        self._subject_type = database.subject_type
        self._metrics = metrics
        self._here: Counter[Place] = Counter()
        """How many subscriptions of this process hold a user on a stream."""
        self._joining: set[Place] = set()
        self._leaving: dict[Place, float] = {}
        """When those leave whose last subscription has ended, the first of them first."""
        self._stored: set[Place] = set()
        self._watched: dict[str, _Watched] = {}
        self._work = asyncio.Event()
        self._beaten_at = float("-inf")

    # What subscriptions tell

    def join(self, stream: str, user: UserId, watcher: Watcher) -> None:
        """Let a user be on a stream, and tell the watcher who is, then who comes and goes."""
        place = (stream, str(user))
        self._here[place] += 1
        self._leaving.pop(place, None)
        watched = self._watched.setdefault(stream, _Watched())
        is_stored = place in self._stored
        watched.waiting[watcher.id] = (watcher, str(user), 0 if is_stored else -1)
        if not is_stored:
            self._joining.add(place)
        self._work.set()

    def leave(self, stream: str, user: UserId, watcher: Watcher) -> None:
        """End what `join` has begun."""
        place = (stream, str(user))
        watched = self._watched[stream]
        watched.watchers.pop(watcher.id, None)
        watched.waiting.pop(watcher.id, None)
        if not watched.watchers and not watched.waiting:
            del self._watched[stream]
        self._here[place] -= 1
        if not self._here[place]:
            del self._here[place]
            self._joining.discard(place)
            self._leaving[place] = monotonic() + _GRACE_SECONDS
            self._work.set()

    def receive(self, stream: str, change: PresenceChange) -> None:
        """Take what the broker carried."""
        watched = self._watched.get(stream)
        if watched is None:
            return
        watched.newest = max(watched.newest, change["version"])
        if watched.version is not None and change["version"] == watched.version + 1 and "joined" in change:
            watched.version += 1
            self._tell(stream, watched, change["joined"], change.get("left", ()))
        if watched.is_behind:
            self._work.set()

    async def listed(self, stream: str) -> PresenceList:
        """Who is on a stream; raises Unavailable."""
        _, count, users = (await self._table.users([stream], MOST_LISTED)).get(stream, (0, 0, ()))
        return PresenceList(stream=stream, users=[*map(self._user, users)], count=count)

    # Its own work

    async def run(self) -> None:
        """Keep the table as it is here, and what is told as it is there."""
        backoff = Backoff()
        try:
            while True:
                await self._something_to_do()
                for stream, watched in self._watched.items():
                    self._list_to_waiting(stream, watched)
                try:
                    await self._live()
                    await self._store()
                    await self._read([stream for stream, watched in self._watched.items() if watched.is_behind])
                    backoff.reset()
                except Unavailable:
                    self._work.set()
                    await backoff.wait()
        finally:
            with suppress(Unavailable):  # others take over what is left when the grace is over
                if self._stored:
                    await self._table.wane(_DEAD_SECONDS - _GRACE_SECONDS)

    async def _something_to_do(self) -> None:
        now = monotonic()
        due = min(self._beaten_at + _BEAT_SECONDS, next(iter(self._leaving.values()), float("inf")))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due - now)):
                await self._work.wait()
        self._work.clear()

    async def _live(self) -> None:
        """Say that this process is alive, bury those that are not, and look for changes that were not carried."""
        now = monotonic()
        late = now - self._beaten_at
        if late < _BEAT_SECONDS:
            return
        if self._stored and not await self._table.beat():  # the table was emptied, or we were taken for dead
            await self._table.appear()
            self._joining |= self._stored & self._here.keys()
            self._stored.clear()
            for watched in self._watched.values():  # versions may have begun anew
                watched.version, watched.newest = None, 0
        if late < 2 * _BEAT_SECONDS:  # after an outage others may not have come to say so yet
            await self._table.bury(_DEAD_SECONDS)
        for stream, version in (await self._versions()).items():
            self._watched[stream].newest = max(self._watched[stream].newest, version)
        self._metrics.present.set(len(self._here))
        self._beaten_at = now

    async def _versions(self) -> Mapping[str, int]:
        versions = await self._table.versions([*self._watched]) if self._watched else {}
        return {stream: version for stream, version in versions.items() if stream in self._watched}

    async def _store(self) -> None:
        """Enter who has come, and remove who has been gone for long enough."""
        now = monotonic()
        joined = self._joining
        left = [place for place, _ in takewhile(lambda leaving: leaving[1] <= now, self._leaving.items())]
        if not joined and not left:
            return
        self._joining = set()
        try:
            if joined and not self._stored:
                await self._table.appear()
            versions = await self._table.change(joined, left)
        except BaseException:
            self._joining |= {place for place in joined if place in self._here}
            raise
        self._stored |= joined
        self._stored.difference_update(left)
        for place in left:
            if place in self._here:  # came back meanwhile
                self._joining.add(place)
            elif self._leaving.get(place, now + 1) <= now:
                del self._leaving[place]
        self._serve_from(versions, joined)

    def _serve_from(self, versions: Mapping[str, int], joined: Iterable[Place]) -> None:
        """Tell those who wait for their user to be there, once what is known has come that far."""
        users: dict[str, set[str]] = {}
        for stream, user in joined:
            users.setdefault(stream, set()).add(user)
        for stream in users.keys() & self._watched.keys():
            watched = self._watched[stream]
            for each, (watcher, whose, since) in watched.waiting.items():
                if since < 0 and whose in users[stream]:
                    watched.waiting[each] = (watcher, whose, versions[stream])
            self._list_to_waiting(stream, watched)

    async def _read(self, streams: Sequence[str]) -> None:
        """Learn how it is where a change was missed."""
        if not streams:
            return
        heard = {stream: self._watched[stream].newest for stream in streams}
        found = await self._table.users(streams, _MOST_KEPT + 1)
        for stream in streams:
            if (watched := self._watched.get(stream)) is not None:
                version, count, users = found.get(stream, (watched.newest, 0, ()))
                if watched.newest == heard[stream]:
                    watched.newest = version
                self._learn(stream, watched, version, count, users)

    def _learn(self, stream: str, watched: _Watched, version: int, count: int, users: Sequence[str]) -> None:
        before, watched.version = watched.users, version
        if count > _MOST_KEPT or before is None:
            watched.users = None if count > _MOST_KEPT else set(users)
            watched.count = count
            self._push_all(watched, self._list(stream, watched))
        else:
            now = set(users)
            self._tell(stream, watched, now - before, before - now)
        self._list_to_waiting(stream, watched)

    def _tell(self, stream: str, watched: _Watched, joined: Iterable[str], left: Iterable[str]) -> None:
        came, gone = [*joined], [*left]
        if watched.users is None:
            watched.count += len(came) - len(gone)
        else:
            came = [user for user in came if user not in watched.users]
            gone = [user for user in gone if user in watched.users]
            watched.users.update(came)
            watched.users.difference_update(gone)
            watched.count = len(watched.users)
        for user in came:
            self._push_all(watched, frame_of(Joined(stream=stream, user_id=self._user(user))))
        for user in gone:
            self._push_all(watched, frame_of(Left(stream=stream, user_id=self._user(user))))
        self._list_to_waiting(stream, watched)

    def _list_to_waiting(self, stream: str, watched: _Watched) -> None:
        version = watched.version
        ready = [
            each for each, (_, _, since) in watched.waiting.items() if version is not None and 0 <= since <= version
        ]
        if ready:
            listed = self._list(stream, watched)
            for each in ready:
                watcher, _, _ = watched.waiting.pop(each)
                watched.watchers[each] = watcher
                watcher.push(listed)

    def _list(self, stream: str, watched: _Watched) -> Frame:
        users = islice(watched.users or (), MOST_LISTED)
        return frame_of(PresenceList(stream=stream, users=[*map(self._user, users)], count=watched.count))

    def _push_all(self, watched: _Watched, frame: Frame) -> None:
        for watcher in watched.watchers.values():
            watcher.push(frame)

    def _user(self, text: str) -> UserId:
        try:
            return user_id(text, self._subject_type)
        except ValueError:  # of the time before JWT_SUBJECT_TYPE was changed
            return text
