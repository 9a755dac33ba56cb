"""One stream as processes follow it: from what a broker carried, or from its table, to events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Generic, NotRequired
from uuid import UUID

import structlog
from pydantic import ConfigDict, Strict, TypeAdapter, ValidationError, with_config
from sqlalchemy import JSON, Select, select, text
from sqlalchemy.types import TypeDecorator, TypeEngine
from typing_extensions import TypedDict

from service.engine.foundation.metrics import Metrics
from service.engine.foundation.wire import UserId
from service.engine.storage.database import Database
from service.engine.streams.event import Event
from service.engine.streams.stream import R, Stream, StreamKey

HISTORY_LIMIT = 1000
"""How many missed events a connection is sent; beyond it fetches them by HTTP."""

_POSITIONS = text("SELECT name, last_seq FROM streams WHERE name = ANY(:names)")
_IN_JSON = (int, str, bool, float, datetime, date, UUID)
"""Types whose values PostgreSQL writes into JSON so that they can be read again without a loss."""

_logger = structlog.get_logger(__name__)


class Signalled(TypedDict):
    """What one connection tells the others."""

    user: UserId
    origin: str
    data: dict[str, Any]


class PresenceChange(TypedDict):
    """Who has come and gone, with the version that follows; without the names where they are too many."""

    version: int
    joined: NotRequired[list[str]]
    left: NotRequired[list[str]]


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a broker carried: that there is an event, the event itself if it was small, or what is no event."""

    seq: int | None = None
    event: Event | None = None
    revoked: str | None = None
    signal: Signalled | None = None
    presence: PresenceChange | None = None
    traceparent: str | None = None
    """Of the operation that stored it."""


class Rows(Generic[R]):
    """The rows of one kind of stream."""

    def __init__(self, stream: Stream[R], database: Database) -> None:
        self._stream = stream
        self._manager = stream.mapper.class_manager
        self._columns = {attribute.columns[0].name: attribute.key for attribute in stream.mapper.column_attrs}
        self._decorated = {
            column.name: column.type for column in stream.table.columns if isinstance(column.type, TypeDecorator)
        }
        self._dialect = database.dialect
        types = {column.name: _in_json(column.type) for column in stream.table.columns}
        self.fit_into_json = None not in types.values()
        """Whether a row can travel with its event; others are read from the table by each process."""
        self._envelope = _envelope({name: kind or Any for name, kind in types.items()})

    def of(self, columns: Mapping[Any, Any]) -> R:
        """A row of what a query found."""
        row: R = self._manager.new_instance()
        return self.fill(row, columns)

    def fill(self, row: R, columns: Mapping[Any, Any]) -> R:
        """Let a row have what the database has, as SQLAlchemy does when it loads one: without its events."""
        vars(row).update({key: columns[name] for name, key in self._columns.items()})
        return row

    def complete(self, row: R, given: Mapping[str, Any], found: Mapping[Any, Any]) -> R:
        """Let a row that was just stored have the columns it came with, and those that the database has `found`."""
        columns = dict.fromkeys(self._columns.values()) | dict(given)
        columns |= {key: self._read(name, found[name]) for name, key in self._columns.items() if name in found}
        vars(row).update(columns)
        return row

    def stored(self, id_: int) -> Select[Any]:
        """The query for one row."""
        return select(*self._stream.table.c).where(self._stream.table.c["id"] == id_)

    def _read(self, name: str, value: Any) -> Any:
        decorated = self._decorated.get(name)
        return value if decorated is None else decorated.process_result_value(value, self._dialect)

    def announced(self, stream: str, payload: str) -> Announcement:
        """What a broker carried; raises ValueError if it is not what we publish."""
        carried = self._envelope.validate_json(payload)
        columns = carried.get("row")
        if columns is None:
            if not carried:
                raise ValueError("neither an event nor a right")
            return Announcement(**carried)
        for name in self._decorated:
            columns[name] = self._read(name, columns[name])
        event = self.event(stream, self.of(columns))
        return Announcement(event.seq, event, traceparent=carried.get("traceparent"))

    def event(self, stream: str, row: R) -> Event:
        return Event(stream, row.seq, self._stream.event.of(row), row.origin)


class StoredStream(Generic[R]):
    """One stream, as a topic follows it."""

    __slots__ = ("_database", "_metrics", "_rows", "key", "name")

    def __init__(self, key: StreamKey[R], rows: Rows[R], database: Database, metrics: Metrics) -> None:
        self.key = key
        self.name = key.name
        self._rows = rows
        self._database = database
        self._metrics = metrics

    def announced(self, payload: str) -> Announcement:
        """What a broker carried; raises ValueError if it is not what we publish."""
        return self._rows.announced(self.name, payload)

    async def read(self, after: int, limit: int) -> list[Event]:
        """The events after a position, oldest first. A row that makes no event is reported and left out.

        Raises:
            Unavailable: The database does not answer.
        """
        events = []
        for row in await read_rows(self._database, self._rows, self.key, after, limit):
            try:
                events.append(self._rows.event(self.name, row))
            except ValidationError as error:
                self._metrics.unreadable_events.inc()
                problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
                _logger.error(  # noqa: TRY400 - it would show data
                    "event_unreadable", topic=self.name, seq=row.seq, field=problem["loc"], why=problem["msg"]
                )
        return events


async def read_rows(database: Database, rows: Rows[R], key: StreamKey[R], after: int, limit: int) -> list[R]:
    """The rows of one stream after a position, oldest first; raises Unavailable."""
    return [rows.of(found) for found in await database.execute(_rows_after(key, after, limit))]


def _rows_after(key: StreamKey[Any], after: int, limit: int) -> Select[Any]:
    columns = key.stream.table.c
    mapped = {attribute.key: attribute.columns[0] for attribute in key.stream.mapper.column_attrs}
    same = [mapped[name] == value for name, value in key.parameters.items()]
    return select(*columns).where(*same, mapped["seq"] > after).order_by(mapped["seq"]).limit(limit)


async def read_positions(database: Database, names: Sequence[str]) -> Mapping[str, int]:
    """The last `seq` of each of the named streams that has one; raises Unavailable."""
    rows = await database.execute(_POSITIONS, {"names": list(names)})
    return {row["name"]: row["last_seq"] for row in rows}


def _envelope(columns: Mapping[str, Any]) -> TypeAdapter[Any]:
    """Reads what `statement` publishes, with a row of these columns."""
    row: Any = TypedDict("row", {name: kind | None for name, kind in columns.items()})  # type: ignore[misc]
    envelope: Any = TypedDict(
        "envelope",
        {
            "seq": NotRequired[Annotated[int, Strict()]],
            "row": NotRequired[row],
            "revoked": NotRequired[str],
            "signal": NotRequired[Signalled],
            "presence": NotRequired[PresenceChange],
            "traceparent": NotRequired[str],
        },
    )
    return TypeAdapter(with_config(ConfigDict(extra="forbid"))(envelope))


def _in_json(type_: TypeEngine[Any]) -> Any:
    """What a column's values are when they come out of JSON; None if they cannot go through it."""
    kind = type_.impl_instance if isinstance(type_, TypeDecorator) else type_
    if isinstance(kind, JSON):
        return Any
    try:
        python = kind.python_type
    except NotImplementedError:
        return None
    return python if python in _IN_JSON else None
