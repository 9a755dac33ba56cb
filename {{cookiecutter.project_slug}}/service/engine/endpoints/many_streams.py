"""Many streams on one connection: every stream that the application declares can be followed here, by its name."""

from service.engine.connection.connection import session_of
from service.engine.connection.many_streams import ManyStreams
from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.engine.foundation.wire import HistoryGap, Subscribe, Subscribed, Unsubscribe, Unsubscribed

router = Endpoints()

PATH = "/ws/streams"


@router.websocket(PATH)
async def streams(
    connection: AuthenticatedConnection[Subscribe | Unsubscribe, Subscribed | Unsubscribed | HistoryGap],
) -> None:
    """Follow many streams. Every event names its own."""
    with ManyStreams(session_of(connection)) as many:

        async def obey(message: Subscribe | Unsubscribe) -> None:
            match message:
                case Subscribe():
                    many.subscribe(message.stream, message.after, message.client_id)
                case Unsubscribe():
                    many.unsubscribe(message.stream, message.client_id)

        await connection.serve(obey)
