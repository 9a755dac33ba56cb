"""Notifications of users: one operation, one transaction that stores and publishes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from pydantic_core import to_json
from sqlalchemy import func, select, text, update

from service.auth.principal import user_id
from service.cancellation import uninterrupted
from service.database import Database, Row
from service.messages import KeptNotification, Notification, StoredNotification
from service.models import NotificationModel
from service.problems import Problem
from service.realtime.broker import Broker
from service.realtime.streams import NOTIFY_LIMIT, Event, Stream, read_positions, time_of
from service.settings import Settings
from service.wire import UserId

_ADD_NOTIFICATION = text(f"""
    WITH stream AS (
        INSERT INTO streams (name, last_seq) VALUES (:stream, 1)
        ON CONFLICT (name) DO UPDATE SET last_seq = streams.last_seq + 1
        RETURNING last_seq
    ), added AS (
        INSERT INTO notifications (user_id, seq, data, created_at)
        SELECT :user_id, last_seq, CAST(:data AS json), clock_timestamp() FROM stream
        RETURNING *
    ), event AS (
        SELECT *, row_to_json(added)::text AS payload FROM added
    )
    SELECT *, CASE
        WHEN :channel = '' THEN NULL
        WHEN octet_length(payload) > {NOTIFY_LIMIT} THEN pg_notify(:channel, json_build_object('seq', seq)::text)::text
        ELSE pg_notify(:channel, payload)::text
    END AS published FROM event
""")  # noqa: S608 - the only thing put in is a number


class Notifications:
    """The notifications of all users."""

    def __init__(self, database: Database, broker: Broker, settings: Settings) -> None:
        self._database = database
        self._broker = broker
        self._subject_type = settings.jwt_subject_type

    def stream(self, user: UserId) -> Stream:
        """The notifications of one user, to subscribe to."""
        return Stream(_stream_of(user), _event, partial(self._events, user))

    async def add(self, user: UserId, data: dict[str, Any]) -> StoredNotification:
        """Store a notification and publish it to all connections of its user.

        Raises:
            Problem: `invalid_request`, there can be no such user; `unavailable`, nothing was stored.
        """
        try:
            user = user_id(user, self._subject_type)
        except ValueError as error:
            raise Problem("invalid_request", f"user_id: {error}", status=422) from None
        stream = _stream_of(user)
        parameters = {
            "stream": stream,
            "channel": self._broker.channel(stream) or "",
            "user_id": str(user),
            "data": to_json(data).decode(),
        }
        async with uninterrupted():
            row = (await self._database.execute(_ADD_NOTIFICATION, parameters))[0]
            await self._broker.publish(stream, row["payload"])
        return StoredNotification(**_fields(row))

    async def mark_read(self, user: UserId, seq: int) -> None:
        """Mark everything up to `seq` as read; raises Unavailable."""
        await self._database.execute(
            update(NotificationModel)
            .where(
                NotificationModel.user_id == str(user),
                NotificationModel.seq <= seq,
                NotificationModel.read_at.is_(None),
            )
            .values(read_at=func.now())
        )

    async def after(self, user: UserId, after: int, limit: int) -> tuple[list[KeptNotification], int]:
        """A user's first `limit` notifications after the position `after`, and the position of the user's last one."""
        rows = await self._rows(user, after, limit)
        stream = _stream_of(user)
        positions = await read_positions(self._database, [stream])
        return [KeptNotification(**_fields(row), read_at=row["read_at"]) for row in rows], positions.get(stream, 0)

    async def _rows(self, user: UserId, after: int, limit: int) -> Sequence[Row]:
        return await self._database.execute(
            select(NotificationModel.__table__)
            .where(NotificationModel.user_id == str(user), NotificationModel.seq > after)
            .order_by(NotificationModel.seq)
            .limit(limit)
        )

    async def _events(self, user: UserId, after: int, limit: int) -> list[Event]:
        return [_event(row) for row in await self._rows(user, after, limit)]


def _stream_of(user: UserId) -> str:
    return f"notifications:{user}"


def _event(row: Row) -> Event:
    return Event(row["seq"], Notification(**_fields(row)))


def _fields(row: Row) -> dict[str, Any]:
    return {"id": row["id"], "seq": row["seq"], "data": row["data"], "created_at": time_of(row["created_at"])}
