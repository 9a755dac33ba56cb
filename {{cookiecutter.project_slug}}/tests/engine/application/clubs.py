"""Clubs, whose members alone may read: who is in the table, or has the club in a claim of the token."""

from typing import Annotated

from fastapi import Path
from sqlalchemy import select

from service.engine.auth.principal import Principal
from service.engine.foundation.problems import Forbidden
from service.engine.foundation.wire import BIGGEST_INTEGER, Number
from service.engine.storage.database import Database
from service.engine.streams.stream import Stream
from tests.engine.application.messages import Announcement
from tests.engine.application.models import AnnouncementModel, MemberModel

ClubId = Annotated[Number, Path(ge=0, le=BIGGEST_INTEGER)]

CLUBS = Stream("clubs/{club_id}", rows=AnnouncementModel, event=Announcement, once=("client_id",))


@CLUBS.reader
async def may_read(club_id: int, user: Principal, database: Database) -> None:
    """Members may."""
    claimed = user.claims.get("clubs")
    if isinstance(claimed, list) and club_id in claimed:
        return
    member = MemberModel.club_id == club_id, MemberModel.user_id == user.user_id
    if not await database.execute(select(MemberModel.club_id).where(*member)):
        raise Forbidden("Members only.")
