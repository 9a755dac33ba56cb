"""What endpoints may ask for, as parameter types."""

from typing import Annotated

from fastapi import Depends, Path, Query
from fastapi.requests import HTTPConnection

from service.comments import Comments as _Comments
from service.notifications import Notifications as _Notifications
from service.realtime.engine import Engine as _Engine
from service.realtime.router import engine_of
from service.wire import BIGGEST_INTEGER, Number


async def _comments(connection: HTTPConnection) -> _Comments:
    engine = engine_of(connection)
    return _Comments(engine.database, engine.broker, engine.settings)


async def _notifications(connection: HTTPConnection) -> _Notifications:
    engine = engine_of(connection)
    return _Notifications(engine.database, engine.broker, engine.settings)


Engine = Annotated[_Engine, Depends(engine_of)]
Comments = Annotated[_Comments, Depends(_comments)]
Notifications = Annotated[_Notifications, Depends(_notifications)]

PostId = Annotated[Number, Path(ge=0, le=BIGGEST_INTEGER)]
After = Annotated[Number, Query(ge=0, le=BIGGEST_INTEGER, description="Only what came after this `seq`")]
Limit = Annotated[Number, Query(ge=1, le=1000, description="At most so many, the oldest first")]
Position = Annotated[
    Number | None, Query(ge=0, le=BIGGEST_INTEGER, description="Send what came after this `seq` first")
]
