"""Many streams on one connection: every stream that the application declares can be followed here, by its name."""

from service.engine.connection.connection import session_of
from service.engine.connection.many_streams import ManyStreams
from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.engine.foundation.wire import (
    HistoryGap,
    Joined,
    Left,
    Presence,
    SendSignal,
    Signal,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)

router = Endpoints()

PATH = "/ws/streams"


Request = Subscribe | Unsubscribe | SendSignal
Answer = Subscribed | Unsubscribed | HistoryGap | Signal | Presence | Joined | Left


@router.websocket(PATH)
async def streams(connection: AuthenticatedConnection[Request, Answer]) -> None:
    """Follow many streams. Every event names its own."""
    with ManyStreams(session_of(connection)) as many:

        async def obey(request: Request) -> None:
            many.obey(request)

        await connection.serve(obey)
