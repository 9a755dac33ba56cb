"""Who is where, in PostgreSQL: exact over all processes, whatever carries the news of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from service.engine.storage.channels import NOTIFY_ALL
from service.engine.storage.database import Database
from service.engine.streams.broker import Broker
from service.engine.streams.statement import NOTIFY_LIMIT

Place = tuple[str, str]
"""A stream, and a user on it."""

_NEXT_VERSIONS = text("""
    INSERT INTO presence_versions (stream, version)
    SELECT stream, 1 FROM unnest(CAST(:streams AS text[])) AS s (stream) ORDER BY stream
    ON CONFLICT (stream) DO UPDATE SET version = presence_versions.version + 1
    RETURNING stream, version
""")
"""In the order of names, so that nobody waits for whoever waits for them. What follows sees all earlier changes."""
_CHANGE = text("""
    WITH gone AS (
        DELETE FROM presence p
        USING unnest(CAST(:left_streams AS text[]), CAST(:left_users AS text[])) AS l (stream, user_id)
        WHERE p.stream = l.stream AND p.user_id = l.user_id AND p.process = :process
        RETURNING p.stream, p.user_id
    ), came AS (
        INSERT INTO presence (stream, user_id, process)
        SELECT stream, user_id, :process
        FROM unnest(CAST(:joined_streams AS text[]), CAST(:joined_users AS text[])) AS j (stream, user_id)
        ON CONFLICT DO NOTHING
        RETURNING stream, user_id
    )
    SELECT stream, user_id, true AS here FROM came
    WHERE NOT EXISTS (SELECT FROM presence p WHERE p.stream = came.stream AND p.user_id = came.user_id)
    UNION ALL
    SELECT stream, user_id, false FROM gone WHERE NOT EXISTS (
        SELECT FROM presence p WHERE p.stream = gone.stream AND p.user_id = gone.user_id AND p.process <> :process
    )
""")
"""Every part of it sees the table as it was before: who came was nowhere, who is gone was here alone."""
_BURY = text("DELETE FROM presence_processes WHERE seen_at < now() - make_interval(secs => :seconds) RETURNING process")
_STREAMS_OF = text("SELECT DISTINCT stream FROM presence WHERE process = ANY(:dead)")
_REMOVE = text("""
    WITH gone AS (DELETE FROM presence WHERE process = ANY(:dead) RETURNING stream, user_id)
    SELECT DISTINCT stream, user_id, false AS here FROM gone WHERE NOT EXISTS (
        SELECT FROM presence p WHERE p.stream = gone.stream AND p.user_id = gone.user_id AND p.process <> ALL(:dead)
    )
""")
_FORGET_EMPTY = text("""
    DELETE FROM presence_versions v
    WHERE stream = ANY(:streams) AND NOT EXISTS (SELECT FROM presence p WHERE p.stream = v.stream)
""")
_BEAT = text("UPDATE presence_processes SET seen_at = now() WHERE process = :process RETURNING process")
_APPEAR = text("""
    INSERT INTO presence_processes (process, seen_at) VALUES (:process, now())
    ON CONFLICT (process) DO UPDATE SET seen_at = now()
""")
_WANE = text("UPDATE presence_processes SET seen_at = now() - make_interval(secs => :seconds) WHERE process = :process")
_VERSIONS = text("SELECT stream, version FROM presence_versions WHERE stream = ANY(:streams)")
_USERS = text("""
    SELECT v.stream, v.version,
        (SELECT count(DISTINCT user_id) FROM presence p WHERE p.stream = v.stream) AS count,
        ARRAY(SELECT DISTINCT user_id FROM presence p WHERE p.stream = v.stream ORDER BY user_id LIMIT :most) AS users
    FROM presence_versions v WHERE stream = ANY(:streams)
""")


class PresenceTable:
    """The rows of one process, and what all have. Every method raises Unavailable, and has then done nothing."""

    def __init__(self, process: str, database: Database, broker: Broker) -> None:
        self._process = process
        self._database = database
        self._broker = broker

    async def change(self, joined: Iterable[Place], left: Iterable[Place]) -> Mapping[str, int]:
        """Enter and remove users of this process, and tell all processes; returns the streams' versions."""
        came, gone = sorted(joined), sorted(left)
        places: dict[str, Any] = {
            "process": self._process,
            "joined_streams": [stream for stream, _ in came],
            "joined_users": [user for _, user in came],
            "left_streams": [stream for stream, _ in gone],
            "left_users": [user for _, user in gone],
        }
        async with self._database.session() as session:
            versions = await self._next_versions(session, {stream for stream, _ in (*came, *gone)})
            changes = (await session.execute(_CHANGE, places)).mappings().all()
            await self._tell(session, versions, changes)
        return versions

    async def bury(self, seconds: float) -> bool:
        """Remove the users of processes that were not alive for so long; returns whether there were any."""
        async with self._database.session() as session:
            dead = [row.process for row in await session.execute(_BURY, {"seconds": seconds})]
            if dead:
                streams = {row.stream for row in await session.execute(_STREAMS_OF, {"dead": dead})}
                versions = await self._next_versions(session, streams)
                changes = (await session.execute(_REMOVE, {"dead": dead})).mappings().all()
                await self._tell(session, versions, changes)
        return bool(dead)

    async def beat(self) -> bool:
        """Say that this process is alive; returns whether its rows may still be there."""
        return bool(await self._database.execute(_BEAT, {"process": self._process}))

    async def appear(self) -> None:
        await self._database.execute(_APPEAR, {"process": self._process})

    async def wane(self, seconds: float) -> None:
        """Make this process one that was last alive so long ago."""
        await self._database.execute(_WANE, {"process": self._process, "seconds": seconds})

    async def versions(self, streams: Sequence[str]) -> Mapping[str, int]:
        """Of those where anybody is."""
        found = await self._database.execute(_VERSIONS, {"streams": list(streams)})
        return {row["stream"]: row["version"] for row in found}

    async def users(self, streams: Sequence[str], most: int) -> Mapping[str, tuple[int, int, Sequence[str]]]:
        """The version, the number of users and at most so many of them, of each stream where anybody is."""
        found = await self._database.execute(_USERS, {"streams": list(streams), "most": most})
        return {row["stream"]: (row["version"], row["count"], row["users"]) for row in found}

    async def _next_versions(self, session: AsyncSession, streams: Iterable[str]) -> Mapping[str, int]:
        found = await session.execute(_NEXT_VERSIONS, {"streams": sorted(streams)})
        return {row.stream: row.version for row in found}

    async def _tell(self, session: AsyncSession, versions: Mapping[str, int], changes: Sequence[Any]) -> None:
        """Publish with the commit what it changes."""
        if not all(change["here"] for change in changes):
            await session.execute(_FORGET_EMPTY, {"streams": [*versions]})
        payloads = _payloads(versions, changes)
        channels = {stream: channel for stream in versions if (channel := self._broker.channel(stream)) is not None}
        if channels:
            parameters = {"channels": [*channels.values()], "payloads": [payloads[stream] for stream in channels]}
            await session.execute(NOTIFY_ALL, parameters)
        else:
            self._database.after_commit(session, lambda: self._publish(payloads))

    def _publish(self, payloads: Mapping[str, str]) -> None:
        for stream, payload in payloads.items():
            self._broker.publish(stream, payload)


def _payloads(versions: Mapping[str, int], changes: Sequence[Any]) -> Mapping[str, str]:
    """What is published of each stream's change; without names where they are too many to be carried."""
    joined: dict[str, list[str]] = {stream: [] for stream in versions}
    left: dict[str, list[str]] = {stream: [] for stream in versions}
    for change in changes:
        (joined if change["here"] else left)[change["stream"]].append(change["user_id"])
    return {stream: _payload(version, joined[stream], left[stream]) for stream, version in versions.items()}


def _payload(version: int, joined: Sequence[str], left: Sequence[str]) -> str:
    payload = json.dumps({"presence": {"version": version, "joined": joined, "left": left}})
    return payload if len(payload) <= NOTIFY_LIMIT else json.dumps({"presence": {"version": version}})
