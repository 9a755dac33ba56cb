"""Entries of one room, as they are written, and those that were."""

from pydantic import BaseModel

from service.engine.endpoints.parameters import After, Limit, ResumeAfter, Streams
from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.engine.endpoints.security import CurrentUser
from service.engine.foundation.problems import Problem
from tests.engine.application.messages import Entry, EntryCreated, NewEntry, StoredEntry
from tests.engine.application.models import EntryModel
from tests.engine.application.rooms import ROOMS, RoomId
from tests.engine.application.settings import CurrentSettings

router = Endpoints()


@router.websocket("/ws/rooms/{room_id}")
async def rooms(
    connection: AuthenticatedConnection[NewEntry, EntryCreated | Entry],
    streams: Streams,
    settings: CurrentSettings,
    room_id: RoomId,
    after: ResumeAfter = None,
) -> None:
    """Store entries in a room and see everybody else's."""

    async def add(new: NewEntry) -> EntryCreated:
        if len(new.body) > settings.max_entry_length:
            raise Problem.invalid_message("body", f"at most {settings.max_entry_length} characters")
        row = EntryModel(author_id=connection.user_id, body=new.body, client_id=new.client_id)
        return EntryCreated.of(await streams.append(ROOMS(room_id), row))

    async with connection.subscribed(ROOMS(room_id), after):
        await connection.serve(add)


class Entries(BaseModel):
    """Entries after a position, oldest first."""

    entries: list[StoredEntry]
    last_seq: int


@router.get("/api/rooms/{room_id}/entries")
async def entries(
    room_id: RoomId, user: CurrentUser, streams: Streams, after: After = 0, limit: Limit = 100
) -> Entries:
    """The entries of a room after a position."""
    found, last_seq = await streams.history(ROOMS(room_id), user, after, limit)
    return Entries(entries=[StoredEntry.of(row) for row in found], last_seq=last_seq)
