"""Two endpoints without tokens, to try a client on; on in development only, unless `DEMO_ENDPOINTS` says otherwise."""

from pydantic import JsonValue

from service.messages import Received
from service.realtime.router import AnonymousConnection, Endpoints

router = Endpoints()


@router.websocket("/ws/echo")
async def echo(connection: AnonymousConnection[str | bytes, str | bytes]) -> None:
    """Text comes back with a prefix, bytes as they are."""

    async def answer(message: str | bytes) -> str | bytes:
        return message if isinstance(message, bytes) else f"Echo: {message}"

    await connection.serve(answer)


@router.websocket("/ws/json")
async def json(connection: AnonymousConnection[JsonValue, Received]) -> None:
    """Any JSON comes back in an envelope."""

    async def answer(message: JsonValue) -> Received:
        return Received(received=message)

    await connection.serve(answer)
