"""The tables."""

from datetime import datetime
from typing import Any

from sqlalchemy import String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.engine.foundation.wire import UserId
from service.engine.storage.rows import EventRow, Model


class CommentModel(EventRow, Model):
    """A comment on a post."""

    __tablename__ = "comments"
    __table_args__ = (
        UniqueConstraint("post_id", "seq"),
        UniqueConstraint("post_id", "author_id", "client_id", name="comments_are_idempotent"),
    )

    post_id: Mapped[int]
    author_id: Mapped[UserId]
    client_id: Mapped[str | None] = mapped_column(String(128))
    body: Mapped[str] = mapped_column(Text)


class NotificationModel(EventRow, Model):
    """Something for one user. `data` is kept as it was written: jsonb would make 301 digits of `1e300`."""

    __tablename__ = "notifications"
    __table_args__ = (UniqueConstraint("user_id", "seq"),)

    user_id: Mapped[UserId]
    data: Mapped[dict[str, Any]]
    read_at: Mapped[datetime | None]
