"""Streams: numbered events that a database keeps and subscribers follow."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from service.database import Database, Row
from service.realtime.frames import Frame, frame_of
from service.wire import Message

HISTORY_LIMIT = 1000
"""How many missed events a connection is sent; beyond it fetches them by HTTP."""

NOTIFY_LIMIT = 7900
"""Bytes; a larger event is announced by its `seq` alone, and each process reads it once (NOTIFY carries < 8,000)."""

_NEXT_SEQ = text("""
    INSERT INTO streams (name, last_seq) VALUES (:name, 1)
    ON CONFLICT (name) DO UPDATE SET last_seq = streams.last_seq + 1
    RETURNING last_seq
""")
_POSITIONS = text("SELECT name, last_seq FROM streams WHERE name = ANY(:names)")


@dataclass(frozen=True)
class Event:
    """One committed event. `origin` is the connection that caused it, which gets its own answer instead."""

    seq: int
    message: Message
    origin: str | None = None

    @cached_property
    def frame(self) -> Frame:
        return frame_of(self.message)


@dataclass(frozen=True, slots=True)
class Stream:
    """What the engine has to know of a domain's stream.

    `name` is its row in the table `streams` and its topic at the broker. `event` makes an event of the row that the
    broker carried, and `read` returns the events after a position, oldest first, at most as many as it is told.
    """

    name: str
    event: Callable[[Row], Event]
    read: Callable[[int, int], Awaitable[Sequence[Event]]]


async def read_positions(database: Database, names: Sequence[str]) -> Mapping[str, int]:
    """The last `seq` of each of the named streams that has one; raises Unavailable."""
    rows = await database.execute(_POSITIONS, {"names": list(names)})
    return {row["name"]: row["last_seq"] for row in rows}


async def next_seq(session: AsyncSession, name: str) -> int:
    """Take the next `seq` of a stream in the session's transaction, which keeps the stream locked until it ends."""
    seq: int = (await session.execute(_NEXT_SEQ, {"name": name})).scalar_one()
    return seq


def time_of(value: datetime | str) -> datetime:
    """A time of a row, which is a text when the row came through a broker."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value
