"""The engine's own tables. Their history is `storage/migrations`, a branch apart from the application's."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import BigInteger, DateTime, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class EngineModel(DeclarativeBase):
    """Of each of them."""

    rights: ClassVar[str]
    """What the service does with its rows; SELECT … FOR UPDATE takes the right to UPDATE as well."""
    type_annotation_map: ClassVar = {int: BigInteger, str: Text, datetime: DateTime(timezone=True)}


class StreamModel(EngineModel):
    """How far each stream has come: its row is locked by whoever appends, so `seq` has no gaps and commits in order."""

    __tablename__ = "streams"
    rights = "SELECT INSERT UPDATE"
    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)

    name: Mapped[str] = mapped_column(primary_key=True)
    last_seq: Mapped[int]


class AppliedRevisionModel(EngineModel):
    """A revision that the database was brought to, or past: tells a schema that is newer from one that is not ours."""

    __tablename__ = "applied_revisions"
    rights = ""  # it is the migrations'

    branch: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[str] = mapped_column(primary_key=True)


class TicketModel(EngineModel):
    """A ticket that was issued and not yet used: its digest, and whom it lets in."""

    __tablename__ = "tickets"
    rights = "SELECT INSERT UPDATE DELETE"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(String(255))
    scopes: Mapped[str]
    claims: Mapped[str | None]
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    valid_until: Mapped[datetime] = mapped_column(index=True)


class RevocationModel(EngineModel):
    """A user whose tokens up to a time no longer count."""

    __tablename__ = "revocations"
    rights = "SELECT INSERT UPDATE"

    user_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    revoked_at: Mapped[datetime] = mapped_column(index=True)


class PresenceVersionModel(EngineModel):
    """How often the presence of a stream has changed: its row is locked by whoever changes it."""

    __tablename__ = "presence_versions"
    rights = "SELECT INSERT UPDATE DELETE"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    stream: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]


class PresenceModel(EngineModel):
    """A user who follows a stream on a process, however often."""

    __tablename__ = "presence"
    rights = "SELECT INSERT DELETE"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    stream: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    process: Mapped[str] = mapped_column(String(32), primary_key=True, index=True)


class PresenceProcessModel(EngineModel):
    """A process with users on streams, and when it was last alive."""

    __tablename__ = "presence_processes"
    rights = "SELECT INSERT UPDATE DELETE"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    process: Mapped[str] = mapped_column(String(32), primary_key=True)
    seen_at: Mapped[datetime]
