"""Announcements of a club for its members, and the other writes that go with them."""

from decimal import Decimal
from typing import Annotated, Any

from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from service.engine.endpoints.parameters import After, Database, Limit, ResumeAfter, Streams
from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.engine.endpoints.security import CurrentUser, requires_scope
from service.engine.foundation.problems import Problem
from service.engine.foundation.wire import Error, Number
from tests.engine.application.clubs import CLUBS, ClubId
from tests.engine.application.messages import Announce, Announced, Announcement, StoredAnnouncement, Words
from tests.engine.application.models import AnnouncementModel, MemberModel, PurchaseModel

router = Endpoints()

ANNOUNCEMENTS = Counter("club_announcements", "What officers have announced")


@router.websocket("/ws/clubs/{club_id}")
async def clubs(
    connection: AuthenticatedConnection[Announce, Announced | Announcement],
    streams: Streams,
    club_id: ClubId,
    after: ResumeAfter = None,
) -> None:
    """Hear what a club has to say; its officers, by a claim of their tokens, say it."""

    async def announce(new: Announce) -> Announced:
        if connection.principal.claims.get("role") != "officer":
            raise Problem("not_an_officer", "Officers announce.", status=403)
        row = AnnouncementModel(text=new.text, client_id=new.client_id)
        ANNOUNCEMENTS.inc()
        return Announced(seq=(await streams.append(CLUBS(club_id), row)).seq, client_id=new.client_id)

    async with connection.subscribed(CLUBS(club_id), after):
        await connection.serve(announce)


class Announcements(BaseModel):
    """Announcements after a position, oldest first."""

    announcements: list[StoredAnnouncement]
    last_seq: int


@router.get("/api/clubs/{club_id}/announcements")
async def announcements(
    club_id: ClubId, user: CurrentUser, streams: Streams, after: After = 0, limit: Limit = 100
) -> Announcements:
    """The announcements of a club after a position, for its members."""
    found, last_seq = await streams.history(CLUBS(club_id), user, after, limit)
    return Announcements(announcements=[StoredAnnouncement.of(row) for row in found], last_seq=last_seq)


@router.put("/api/clubs/{club_id}/members/{user_id}", status_code=204, dependencies=[requires_scope("clubs:write")])
async def join(club_id: ClubId, user_id: Number, database: Database) -> None:
    """Make a user a member."""
    await database.execute(insert(MemberModel).values(club_id=club_id, user_id=user_id).on_conflict_do_nothing())


@router.delete("/api/clubs/{club_id}/members/{user_id}", status_code=204, dependencies=[requires_scope("clubs:write")])
async def leave(club_id: ClubId, user_id: Number, database: Database, streams: Streams, at_once: bool = True) -> None:
    """End a membership, and the subscription that goes with it: in one transaction unless `at_once` is false."""
    member = MemberModel.club_id == club_id, MemberModel.user_id == user_id
    if at_once:
        async with database.session() as session:
            await session.execute(delete(MemberModel).where(*member))
            await streams.revoke(CLUBS(club_id), user_id, session=session)
    else:
        await database.execute(delete(MemberModel).where(*member))
        await streams.revoke(CLUBS(club_id), user_id)


class NewPurchase(BaseModel):
    """What was bought. One that `fails` does so after all is written, and before it is committed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    what: Words
    price: Annotated[Decimal, Field(strict=False)] | None = None
    client_id: str | None = None
    fails: bool = False


class Purchase(BaseModel):
    """It is stored, and announced."""

    id: int
    seq: int


_TOO_EXPENSIVE: dict[int | str, dict[str, Any]] = {409: {"description": "It is too expensive.", "model": Error}}


@router.post(
    "/api/clubs/{club_id}/purchases",
    status_code=201,
    dependencies=[requires_scope("clubs:write")],
    responses=_TOO_EXPENSIVE,
)
async def buy(club_id: ClubId, new: NewPurchase, database: Database, streams: Streams) -> Purchase:
    """Store a purchase and announce it: both, or neither."""
    async with database.session() as session:
        purchase = PurchaseModel(club_id=club_id, what=new.what)
        session.add(purchase)
        await session.flush()
        row = AnnouncementModel(text=f"We have bought {new.what}.", price=new.price, client_id=new.client_id)
        announced = await streams.append(CLUBS(club_id), row, session=session)
        if new.fails:
            raise Problem("too_expensive", "We cannot afford it.", status=409)
    return Purchase(id=purchase.id, seq=announced.seq)
