"""Vehicles: where they are, told by whoever drives them."""

from typing import Literal

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from service.engine.auth.principal import Principal
from service.engine.foundation.wire import FromClient, Seq, Typed, UserId
from service.engine.storage.rows import EventRow, Model
from service.engine.streams.stream import Stream


class PositionModel(EventRow, Model):
    """Where a vehicle was."""

    __tablename__ = "positions"
    __table_args__ = (UniqueConstraint("vehicle", "seq"),)

    vehicle: Mapped[int]
    driver: Mapped[UserId]
    metre: Mapped[int]


class Moved(FromClient):
    """It is somewhere else now."""

    type: Literal["moved"] = "moved"
    metre: int


class Position(Typed):
    """Where a vehicle is."""

    type: Literal["position"] = "position"
    seq: Seq
    driver: UserId
    metre: int


POSITIONS = Stream("vehicles/{vehicle}", rows=PositionModel, event=Position)


@POSITIONS.reader
async def may_follow(user: Principal) -> None:
    """Everybody with a token may."""
