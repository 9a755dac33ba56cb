"""Comments on posts: one operation, one transaction that stores and publishes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from service.auth.principal import user_id
from service.cancellation import uninterrupted
from service.database import Database, Row
from service.messages import Comment, CommentCreated, NewComment, StoredComment
from service.models import CommentModel
from service.problems import Problem
from service.realtime.broker import Broker
from service.realtime.streams import NOTIFY_LIMIT, Event, Stream, read_positions, time_of
from service.settings import Settings
from service.wire import UserId

_ADD_COMMENT = text(f"""
    WITH existing AS (
        SELECT * FROM comments WHERE post_id = :post_id AND author_id = :author_id AND client_id = :client_id
    ), stream AS (
        INSERT INTO streams (name, last_seq) SELECT :stream, 1 WHERE NOT EXISTS (SELECT FROM existing)
        ON CONFLICT (name) DO UPDATE SET last_seq = streams.last_seq + 1
        RETURNING last_seq
    ), added AS (
        INSERT INTO comments (post_id, seq, author_id, client_id, connection_id, body, created_at)
        SELECT :post_id, last_seq, :author_id, :client_id, :connection_id, :body, clock_timestamp() FROM stream
        RETURNING *
    ), event AS (
        SELECT id, seq, row_to_json(added)::text AS payload FROM added
    )
    SELECT id, seq, payload, CASE
        WHEN :channel = '' THEN NULL
        WHEN octet_length(payload) > {NOTIFY_LIMIT} THEN pg_notify(:channel, json_build_object('seq', seq)::text)::text
        ELSE pg_notify(:channel, payload)::text
    END AS published FROM event
    UNION ALL
    SELECT id, seq, NULL, NULL FROM existing
""")  # noqa: S608 - the only thing put in is a number
"""Take the next `seq` of the post, store the comment and notify, or find what the same `client_id` stored before.

The row of `streams` stays locked until the commit, so `seq` has no gaps and is in commit order.
"""


class Comments:
    """The comments of all posts."""

    def __init__(self, database: Database, broker: Broker, settings: Settings) -> None:
        self._database = database
        self._broker = broker
        self._settings = settings

    def stream(self, post_id: int) -> Stream:
        """The comments of one post, to subscribe to."""
        return Stream(f"comments:{post_id}", self._event, partial(self._events, post_id))

    async def add(self, post_id: int, author: UserId, new: NewComment, *, origin: str | None = None) -> CommentCreated:
        """Store a comment and publish it to everybody but `origin`, the connection it came from.

        Raises:
            Problem: `invalid_message`, the body is too long; `unavailable`, nothing was stored.
        """
        longest = self._settings.max_comment_length
        if len(new.body) > longest:
            raise Problem.invalid_message("body", f"at most {longest} characters")
        stream = f"comments:{post_id}"
        parameters = {
            "stream": stream,
            "channel": self._broker.channel(stream) or "",
            "post_id": post_id,
            "author_id": str(author),
            "client_id": new.client_id,
            "connection_id": origin,
            "body": new.body,
        }
        async with uninterrupted():
            row = await self._add_once(parameters)
            if row["payload"] is not None:
                await self._broker.publish(stream, row["payload"])
        return CommentCreated(comment_id=row["id"], seq=row["seq"], client_id=new.client_id)

    async def after(self, post_id: int, after: int, limit: int) -> tuple[list[StoredComment], int]:
        """The first `limit` comments after the position `after`, and the position of the post's last comment."""
        rows = await self._rows(post_id, after, limit)
        stream = f"comments:{post_id}"
        positions = await read_positions(self._database, [stream])
        return [StoredComment(**self._fields(row)) for row in rows], positions.get(stream, 0)

    async def _add_once(self, parameters: Mapping[str, Any]) -> Row:
        try:
            return (await self._database.execute(_ADD_COMMENT, parameters))[0]
        except IntegrityError:  # the same client_id was committed while we waited for the post: now we can see it
            return (await self._database.execute(_ADD_COMMENT, parameters))[0]

    async def _rows(self, post_id: int, after: int, limit: int) -> Sequence[Row]:
        comments = CommentModel.__table__
        return await self._database.execute(
            select(comments)
            .where(CommentModel.post_id == post_id, CommentModel.seq > after)
            .order_by(CommentModel.seq)
            .limit(limit)
        )

    async def _events(self, post_id: int, after: int, limit: int) -> list[Event]:
        return [self._event(row) for row in await self._rows(post_id, after, limit)]

    def _event(self, row: Row) -> Event:
        return Event(row["seq"], Comment(**self._fields(row)), origin=row["connection_id"])

    def _fields(self, row: Row) -> dict[str, Any]:
        return {
            "comment_id": row["id"],
            "seq": row["seq"],
            "post_id": row["post_id"],
            "author_id": self._author(row["author_id"]),
            "body": row["body"],
            "created_at": time_of(row["created_at"]),
        }

    def _author(self, stored: str) -> UserId:
        """An author as tokens name users now; one of the time before `JWT_SUBJECT_TYPE` was changed keeps the name."""
        try:
            return user_id(stored, self._settings.jwt_subject_type)
        except ValueError:
            return stored
