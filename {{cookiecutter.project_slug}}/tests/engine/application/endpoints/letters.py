"""Letters: pushed to every connection of their user, written by whoever has the scope."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict

from service.engine.endpoints.parameters import After, Database, Limit, ResumeAfter, Streams
from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.engine.endpoints.security import CurrentUser, requires_scope
from service.engine.foundation.identity import user_of_request
from service.engine.foundation.wire import Storable, StorableJson, UserIdField
from tests.engine.application.letters import LETTERS, mark_read
from tests.engine.application.messages import Ack, KeptLetter, Letter, StoredLetter
from tests.engine.application.models import LetterModel
from tests.engine.application.settings import CurrentSettings

router = Endpoints()


@router.websocket("/ws/letters")
async def letters(
    connection: AuthenticatedConnection[Ack, Letter], database: Database, after: ResumeAfter = None
) -> None:
    """See your letters and acknowledge them."""

    async def acknowledge(ack: Ack) -> None:
        await mark_read(database, connection.user_id, ack.seq)

    async with connection.subscribed(LETTERS(connection.user_id), after):
        await connection.serve(acknowledge)


class Letters(BaseModel):
    """Letters after a position, oldest first."""

    letters: list[KeptLetter]
    last_seq: int


@router.get("/api/letters")
async def kept(user: CurrentUser, streams: Streams, after: After = 0, limit: Limit = 100) -> Letters:
    """Your letters after a position."""
    found, last_seq = await streams.history(LETTERS(user.user_id), user, after, limit)
    return Letters(letters=[KeptLetter.of(row) for row in found], last_seq=last_seq)


class NewLetter(BaseModel):
    """To whom, and what."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: UserIdField
    data: dict[Annotated[str, Storable], StorableJson]


@router.post("/api/letters", status_code=201, dependencies=[requires_scope("letters:write")])
async def write(new: NewLetter, streams: Streams, settings: CurrentSettings) -> StoredLetter:
    """Store a letter and push it to all connections of its user."""
    user = user_of_request(new.user_id, settings.jwt_subject_type)
    return StoredLetter.of(await streams.append(LETTERS(user), LetterModel(data=new.data)))
