"""What an application's tables are made of: the base of its models, and the columns of a table that keeps events."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, Identity, String, func
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from service.engine.foundation.identity import user_id
from service.engine.foundation.settings import SubjectType
from service.engine.foundation.wire import UserId


class UserIdText(TypeDecorator[UserId]):
    """A user, kept as a text and read as tokens name users now (`JWT_SUBJECT_TYPE`).

    One of the time before that setting was changed keeps the name it had.
    """

    impl = String(255)
    cache_ok = True

    def process_bind_param(self, value: UserId | None, _dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> UserId | None:
        try:
            return None if value is None else user_id(value, getattr(dialect, "subject_type", SubjectType.STRING))
        except ValueError:
            return value


class Model(DeclarativeBase):
    """Of each of an application's tables. `int` is a bigint, `datetime` has a time zone, `dict[str, Any]` is JSON."""

    type_annotation_map: ClassVar = {
        int: BigInteger,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSON,
        UserId: UserIdText,
    }


class EventRow:
    """The columns of a table that keeps a stream's events: `class NoteModel(EventRow, Model)`.

    All but `id` are filled in when the row is appended. `origin` is the connection it came from, as in the logs: that
    one gets its answer instead of the event.
    """

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True, sort_order=-3)
    seq: Mapped[int] = mapped_column(BigInteger, sort_order=-2)
    origin: Mapped[str | None] = mapped_column(String(32), sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=1)
