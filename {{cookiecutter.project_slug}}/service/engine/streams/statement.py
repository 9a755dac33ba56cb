"""The one statement that takes the next `seq` of a stream, stores a row, and notifies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Executable, String, bindparam, text
from sqlalchemy.dialects.postgresql import psycopg

from service.engine.storage.channels import NOTIFY_CHANNEL
from service.engine.streams.stream import R, Stream, StreamKey

NOTIFY_LIMIT = 7900
"""Bytes; a larger event is announced by its `seq` alone, and each process reads it once (NOTIFY carries < 8,000)."""

PAYLOAD = "_payload"
"""The column of the result that holds what to publish; null where the same row was stored before."""
_PUBLISHED = "_published"
_preparer = psycopg.dialect().identifier_preparer  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Append:
    """A statement, what to run it with, and the columns of the row that are known already."""

    statement: Executable
    values: Mapping[str, Any]
    given: Mapping[str, Any]


class AppendStatements:
    """The statements of one kind of stream: one for each set of columns that rows come with."""

    def __init__(self, stream: Stream[Any], *, carries_rows: bool) -> None:
        self._stream = stream
        self._carries_rows = carries_rows
        self._same = (*stream.parameters, *stream.once)
        self._columns: dict[str, Column[Any]] = {
            attribute.key: attribute.columns[0]  # type: ignore[misc]
            for attribute in stream.mapper.column_attrs
        }
        self._defaults = {key: column for key, column in self._columns.items() if column.default is not None}
        self._made: dict[tuple[tuple[str, ...], bool, bool], Executable] = {}

    def append(self, key: StreamKey[R], row: R, channel: str, traceparent: str | None = None) -> Append:
        """The statement that appends `row` to the stream `key` and notifies `channel`, unless that is empty.

        `traceparent` travels with the event, if there is one.
        """
        given = {name: value for name, value in vars(row).items() if name in self._columns}
        for name, value in key.parameters.items():
            if str(given.setdefault(name, value)) != str(value):
                raise ValueError(f"a row whose {name} is another belongs to another stream than {key.name}")
        for name, column in self._defaults.items():
            if name not in given:
                given[name] = _default_of(column)
        names = tuple(given)
        once = bool(self._stream.once) and all(given.get(name) is not None for name in self._stream.once)
        kind = names, once, traceparent is not None
        if kind not in self._made:
            self._made[kind] = self._statement(names, once=once, traced=traceparent is not None)
        values = {f"p{number}": value for number, value in enumerate(given.values())}
        values |= {"stream_name": key.name, "channel": channel}
        if traceparent is not None:
            values["traceparent"] = traceparent
        return Append(self._made[kind], values, given)

    def _statement(self, names: tuple[str, ...], *, once: bool, traced: bool) -> Executable:
        values = {name: f":p{number}" for number, name in enumerate(names)}
        table = _preparer.format_table(self._stream.table)
        columns = {key: _preparer.quote(column.name) for key, column in self._columns.items()}
        seq, returned = columns["seq"], ", ".join(columns[name] for name in self._made_by_database(names))
        stored = {columns[name]: value for name, value in values.items()} | {seq: "last_seq"}
        if "created_at" not in names:
            stored[columns["created_at"]] = "clock_timestamp()"
        same = " AND ".join(f"{columns[name]} = {values[name]}" for name in self._same) if once else "false"
        trace = ", 'traceparent', :traceparent" if traced else ""
        row = ", 'row', row_to_json(added)" if self._carries_rows else ""
        query = f"""
            WITH existing AS (
                SELECT {returned} FROM {table} WHERE {same}
            ), stream AS (
                INSERT INTO streams (name, last_seq) SELECT :stream_name, 1 WHERE NOT EXISTS (SELECT FROM existing)
                ON CONFLICT (name) DO UPDATE SET last_seq = streams.last_seq + 1
                RETURNING last_seq
            ), added AS (
                INSERT INTO {table} ({", ".join(stored)}) SELECT {", ".join(stored.values())} FROM stream
                RETURNING *
            ), event AS (
                SELECT {returned}, json_build_object('seq', {seq}{row}{trace})::text AS {PAYLOAD} FROM added
            )
            SELECT {returned}, {PAYLOAD}, CASE
                WHEN :channel = '' THEN NULL
                WHEN octet_length({PAYLOAD}) > {NOTIFY_LIMIT}
                    THEN pg_notify({NOTIFY_CHANNEL}, json_build_object('seq', {seq}{trace})::text)::text
                ELSE pg_notify({NOTIFY_CHANNEL}, {PAYLOAD})::text
            END AS {_PUBLISHED} FROM event
            UNION ALL
            SELECT {returned}, NULL, NULL FROM existing
        """  # noqa: S608 - what is put in are quoted names and a number
        types = {f"p{number}": self._columns[name].type for number, name in enumerate(names)}
        types |= {"stream_name": String(), "channel": String()} | ({"traceparent": String()} if traced else {})
        return text(query).bindparams(*(bindparam(name, type_=kind) for name, kind in types.items()))

    def _made_by_database(self, names: tuple[str, ...]) -> list[str]:
        """What the database adds to the columns that a row came with."""
        defaults = [key for key, column in self._columns.items() if column.server_default is not None]
        return list(dict.fromkeys(["id", "seq", *(key for key in defaults if key not in names)]))


def _default_of(column: Column[Any]) -> Any:
    default: Any = column.default
    return default.arg if default.is_scalar else default.arg(None)  # SQLAlchemy lets every callable take a context
