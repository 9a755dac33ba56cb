"""Rooms, which everybody may enter."""

from typing import Annotated

from fastapi import Path

from service.engine.auth.principal import Principal
from service.engine.foundation.wire import BIGGEST_INTEGER, Number
from service.engine.streams.stream import Stream
from tests.engine.application.messages import Entry
from tests.engine.application.models import EntryModel

RoomId = Annotated[Number, Path(ge=0, le=BIGGEST_INTEGER)]

ROOMS = Stream(
    "rooms/{room_id}",
    rows=EntryModel,
    event=Entry,
    once=("author_id", "client_id"),
    signals=True,
    presence=True,
)


@ROOMS.reader
async def may_read(room_id: int, user: Principal) -> None:
    """Everybody with a token may."""
