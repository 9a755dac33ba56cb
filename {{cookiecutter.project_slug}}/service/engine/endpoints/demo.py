"""Two endpoints without tokens, to try a client on; on in development only, unless `DEMO_ENDPOINTS` says otherwise."""

from typing import Literal

from pydantic import JsonValue

from service.engine.endpoints.router import AnonymousConnection, Endpoints
from service.engine.foundation.wire import Message

router = Endpoints()


class Received(Message):
    """The answer of `/ws/json`."""

    received: JsonValue
    status: Literal["ok"] = "ok"


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
