"""What endpoints and workers do with streams: append, look into history, end a right."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.engine.auth.principal import Principal
from service.engine.foundation.cancellation import uninterrupted
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.operations import Around, Operation
from service.engine.foundation.wire import UserId
from service.engine.storage.channels import NOTIFY_CHANNEL
from service.engine.storage.database import Database, Row
from service.engine.streams.broker import Broker
from service.engine.streams.event import Event
from service.engine.streams.names import StreamNames
from service.engine.streams.statement import PAYLOAD, Append, AppendStatements
from service.engine.streams.stored import Rows, StoredStream, read_positions, read_rows
from service.engine.streams.stream import R, Stream, StreamKey, check_streams

_NOTIFY = text(f"SELECT pg_notify({NOTIFY_CHANNEL}, :payload)")


class DeclaredStreams:
    """The kinds of streams of an application, ready for use in one process."""

    def __init__(
        self,
        declared: Sequence[Stream[Any]],
        database: Database,
        broker: Broker,
        metrics: Metrics,
        around: Around | None = None,
    ) -> None:
        """Raises: DeclarationError."""
        check_streams(declared)
        self.declared = tuple(declared)
        self.names = StreamNames(declared, database.subject_type)
        self.database = database
        self.broker = broker
        self.around = around
        self._metrics = metrics
        self._rows: dict[Stream[Any], Rows[Any]] = {stream: Rows(stream, database) for stream in declared}
        self._statements = {
            stream: AppendStatements(stream, carries_rows=rows.fit_into_json) for stream, rows in self._rows.items()
        }

    def stored(self, key: StreamKey[R]) -> StoredStream[R]:
        """A stream, as a topic follows it."""
        return StoredStream(key, self.rows(key), self.database, self._metrics)

    def rows(self, key: StreamKey[R]) -> Rows[R]:
        try:
            return self._rows[key.stream]
        except KeyError:
            raise LookupError(f"the stream {key.stream.name} is not among those of the application (app.py)") from None

    async def events(self, key: StreamKey[Any], user: Principal, after: int, limit: int) -> tuple[list[Event], int]:
        """The first `limit` events after the position `after`, and the position of the stream's last.

        Raises:
            Problem: `user` may not read the stream, or `unavailable`.
        """
        await key.stream.check_reader(key, user, self.database)
        events = await self.stored(key).read(after, limit)
        positions = await read_positions(self.database, [key.name])
        return events, positions.get(key.name, 0)

    def append(self, key: StreamKey[R], row: R, traceparent: str | None) -> Append:
        """The statement that appends `row`."""
        self.rows(key)
        return self._statements[key.stream].append(key, row, self.broker.channel(key.name) or "", traceparent)


class Streams:
    """The streams of an application, for one connection or request."""

    __slots__ = ("_declared", "_origin")

    def __init__(self, declared: DeclaredStreams, origin: str | None = None) -> None:
        """`origin`: the connection that events come from, which is not sent its own."""
        self._declared = declared
        self._origin = origin

    async def append(self, key: StreamKey[R], row: R, *, session: AsyncSession | None = None) -> R:
        """Store a row as the stream's next event, and publish it when, and only if, it is committed.

        Without a `session` that is one statement, committed at once. In one, the event is committed with what else
        the session writes, and the stream stays locked until then: keep it short, and append last.
        A row that is `once` the same as one stored before is not stored again.

        Returns:
            The row with its `id`, `seq` and `created_at`: the one stored now, or the one stored before.

        Raises:
            Unavailable: Nothing was stored.
        """
        if row.origin is None:
            row.origin = self._origin
        if self._declared.around is None:
            return await self._append(key, row, session)
        operation = Operation(kind="publish", name=key.stream.name, stream=key.name, connection_id=row.origin)
        async with self._declared.around(operation):
            return await self._append(key, row, session, operation.traceparent)

    async def _append(
        self, key: StreamKey[R], row: R, session: AsyncSession | None, traceparent: str | None = None
    ) -> R:
        append = self._declared.append(key, row, traceparent)
        broker = self._declared.broker
        if session is not None:
            found = await self._store_in(session, append, key)
            if found[PAYLOAD] is None:
                stored = await session.execute(self._declared.rows(key).stored(found["id"]))
                return self._declared.rows(key).fill(row, stored.mappings().one())
            if (payload := found[PAYLOAD]) is not None and broker.channel(key.name) is None:
                self._declared.database.after_commit(session, lambda: broker.publish(key.name, payload))
            return self._declared.rows(key).complete(row, append.given, found)
        async with uninterrupted():
            found = await self._store(append, key)
            if found[PAYLOAD] is None:
                stored = await self._declared.database.execute(self._declared.rows(key).stored(found["id"]))
                return self._declared.rows(key).fill(row, stored[0])
            broker.publish(key.name, found[PAYLOAD])
        return self._declared.rows(key).complete(row, append.given, found)

    async def check_reader(self, key: StreamKey[Any], user: Principal) -> None:
        """Raise Problem if `user` may not read a stream: for who may write where they may read."""
        self._declared.rows(key)
        await key.stream.check_reader(key, user, self._declared.database)

    async def history(
        self, key: StreamKey[R], user: Principal, after: int = 0, limit: int = 100
    ) -> tuple[list[R], int]:
        """The first `limit` rows after the position `after`, and the position of the stream's last event.

        Raises:
            Problem: `user` may not read the stream, or `unavailable`.
        """
        database = self._declared.database
        await key.stream.check_reader(key, user, database)
        rows = await read_rows(database, self._declared.rows(key), key, after, limit)
        positions = await read_positions(database, [key.name])
        return rows, positions.get(key.name, 0)

    async def revoke(self, key: StreamKey[Any], user: UserId, *, session: AsyncSession | None = None) -> None:
        """End the subscriptions of a user to a stream, on every process: call it when a membership ends.

        Whether they may subscribe again is for the stream's reader to say. In a `session` it happens with the commit.

        Raises:
            Unavailable: It could not be said.
        """
        self._declared.rows(key)
        broker, payload = self._declared.broker, json.dumps({"revoked": str(user)})
        channel = broker.channel(key.name)
        if channel is not None:
            notify = {"channel": channel, "payload": payload}
            if session is not None:
                await session.execute(_NOTIFY, notify)
            else:
                await self._declared.database.execute(_NOTIFY, notify)
        elif session is not None:
            self._declared.database.after_commit(session, lambda: broker.publish(key.name, payload))
        else:
            broker.publish(key.name, payload)

    async def _store(self, append: Append, key: StreamKey[Any]) -> Row:
        execute = self._declared.database.execute
        try:
            return (await execute(append.statement, append.values))[0]
        except IntegrityError:
            if not key.stream.once:
                raise
            # The same row was committed while we waited for the stream: now we can see it.
            return (await execute(append.statement, append.values))[0]

    async def _store_in(self, session: AsyncSession, append: Append, key: StreamKey[Any]) -> Row:
        if not key.stream.once:
            return (await session.execute(append.statement, append.values)).mappings().one()
        try:
            async with session.begin_nested():
                return (await session.execute(append.statement, append.values)).mappings().one()
        except IntegrityError:
            return (await session.execute(append.statement, append.values)).mappings().one()
