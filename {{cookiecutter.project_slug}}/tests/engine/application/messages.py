"""The messages of the endpoints."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, StringConstraints

from service.engine.foundation.wire import Answer, FromClient, Message, Seq, Storable, Time, Typed, UserId

EntryId = Annotated[int, Field(validation_alias="id")]
Words = Annotated[str, StringConstraints(min_length=1), Storable]


class NewEntry(FromClient):
    """Store an entry. The same `client_id` again stores nothing and answers the same `entry_id`."""

    type: Literal["new_entry"] = "new_entry"
    body: Words


class EntryCreated(Answer):
    """The entry is stored."""

    type: Literal["entry_created"] = "entry_created"
    entry_id: EntryId
    seq: Seq
    client_id: str | None = None


class StoredEntry(Message):
    """An entry as history returns it."""

    entry_id: EntryId
    seq: Seq
    room_id: int
    author_id: UserId
    body: str
    created_at: Time


class Entry(StoredEntry, Typed):
    """Somebody else's entry in the room."""

    type: Literal["entry"] = "entry"


class Ack(FromClient):
    """Everything up to `seq` has been read."""

    type: Literal["ack"] = "ack"
    seq: Seq


class StoredLetter(Message):
    """A letter as it was stored."""

    id: int
    seq: Seq
    data: dict[str, JsonValue]
    created_at: Time


class KeptLetter(StoredLetter):
    """A letter as history returns it."""

    read_at: Time | None


class Letter(StoredLetter, Typed):
    """Something for this user."""

    type: Literal["letter"] = "letter"


class Announce(FromClient):
    """Say something to all members of the club."""

    type: Literal["announce"] = "announce"
    text: Words


class Announced(Answer):
    """It is stored."""

    type: Literal["announced"] = "announced"
    seq: Seq
    client_id: str | None = None


class StoredAnnouncement(Message):
    """An announcement as history returns it."""

    seq: Seq
    text: str
    price: Decimal | None


class Announcement(StoredAnnouncement, Typed):
    """What a club has to say."""

    type: Literal["announcement"] = "announcement"


class Who(FromClient):
    """Who am I?"""

    type: Literal["who"] = "who"


class Profile(Message):
    """Who the latest token speaks for."""

    type: Literal["profile"] = "profile"
    user_id: UserId
    scopes: list[str]
    claims: dict[str, Any]
