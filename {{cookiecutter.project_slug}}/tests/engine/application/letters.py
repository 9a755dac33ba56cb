"""Letters to users."""

from sqlalchemy import func, update

from service.engine.auth.principal import Principal
from service.engine.foundation.problems import Forbidden
from service.engine.foundation.wire import UserId
from service.engine.storage.database import Database
from service.engine.streams.stream import Stream
from tests.engine.application.messages import Letter
from tests.engine.application.models import LetterModel

LETTERS = Stream("letters/{user_id}", rows=LetterModel, event=Letter)


@LETTERS.reader
async def may_read(user_id: UserId, user: Principal) -> None:
    """Everybody reads their own."""
    if user_id != user.user_id:
        raise Forbidden("These are somebody else's letters.")


async def mark_read(database: Database, user: UserId, seq: int) -> None:
    """Mark everything up to `seq` as read; raises Unavailable."""
    await database.execute(
        update(LetterModel)
        .where(LetterModel.user_id == user, LetterModel.seq <= seq, LetterModel.read_at.is_(None))
        .values(read_at=func.now())
    )
