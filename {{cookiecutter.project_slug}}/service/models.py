"""The tables."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Identity, String, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Model(DeclarativeBase):
    """Of every table."""

    type_annotation_map: ClassVar = {int: BigInteger, datetime: DateTime(timezone=True), dict[str, Any]: JSON}


class StreamModel(Model):
    """How far each stream has come: its row is locked by whoever appends, so `seq` has no gaps and commits in order."""

    __tablename__ = "streams"
    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)

    name: Mapped[str] = mapped_column(String(300), primary_key=True)
    last_seq: Mapped[int]


class CommentModel(Model):
    """A comment on a post. `connection_id` is the connection it came from, as in the logs."""

    __tablename__ = "comments"
    __table_args__ = (
        UniqueConstraint("post_id", "seq"),
        UniqueConstraint("post_id", "author_id", "client_id", name="comments_are_idempotent"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    post_id: Mapped[int]
    seq: Mapped[int]
    author_id: Mapped[str] = mapped_column(String(255))
    client_id: Mapped[str | None] = mapped_column(String(128))
    connection_id: Mapped[str | None] = mapped_column(String(32))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class NotificationModel(Model):
    """Something for one user. `data` is kept as it was written: jsonb would make 301 digits of `1e300`."""

    __tablename__ = "notifications"
    __table_args__ = (UniqueConstraint("user_id", "seq"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(255))
    seq: Mapped[int]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    read_at: Mapped[datetime | None]


class TicketModel(Model):
    """A ticket that was issued and not yet used: its digest, and whom it lets in."""

    __tablename__ = "tickets"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[str] = mapped_column(Text)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    valid_until: Mapped[datetime] = mapped_column(index=True)


class RevocationModel(Model):
    """A user whose tokens up to a time no longer count."""

    __tablename__ = "revocations"

    user_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    revoked_at: Mapped[datetime] = mapped_column(index=True)
