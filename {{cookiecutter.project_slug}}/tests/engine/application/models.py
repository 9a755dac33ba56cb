"""The tables."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Identity, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.engine.foundation.wire import UserId
from service.engine.storage.rows import EventRow, Model


class EntryModel(EventRow, Model):
    """An entry in a room."""

    __tablename__ = "entries"
    __table_args__ = (UniqueConstraint("room_id", "seq"), UniqueConstraint("room_id", "author_id", "client_id"))

    room_id: Mapped[int]
    author_id: Mapped[UserId]
    client_id: Mapped[str | None] = mapped_column(String(128))
    body: Mapped[str] = mapped_column(Text)


class LetterModel(EventRow, Model):
    """A letter to one user."""

    __tablename__ = "letters"
    __table_args__ = (UniqueConstraint("user_id", "seq"),)

    user_id: Mapped[UserId]
    data: Mapped[dict[str, Any]]
    read_at: Mapped[datetime | None]


class AnnouncementModel(EventRow, Model):
    """What a club has to say to its members. A price is a number that JSON would spoil: rows do not travel as JSON."""

    __tablename__ = "announcements"
    __table_args__ = (UniqueConstraint("club_id", "seq"), UniqueConstraint("club_id", "client_id"))

    club_id: Mapped[int]
    client_id: Mapped[str | None] = mapped_column(String(128))
    text: Mapped[str] = mapped_column(Text)
    price: Mapped[Decimal | None]


class MemberModel(Model):
    """Who is in a club."""

    __tablename__ = "members"

    club_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    user_id: Mapped[UserId] = mapped_column(primary_key=True)


class PurchaseModel(Model):
    """What a club has bought; it is announced."""

    __tablename__ = "purchases"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    club_id: Mapped[int]
    what: Mapped[str] = mapped_column(Text)
