"""An application of somebody else's beside the engine, and dependencies that live as long as a connection."""

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Annotated

import structlog
from fastapi import Depends, FastAPI, WebSocket, WebSocketException  # noqa: TID251 - what others do
from fastapi.responses import PlainTextResponse

from service.engine.endpoints.router import AnonymousConnection, Endpoints
from service.engine.foundation.problems import Problem

router = Endpoints()
foreign = FastAPI()

_greeting: ContextVar[str] = ContextVar("greeting", default="")
_logger = structlog.get_logger(__name__)


async def _lent() -> AsyncIterator[str]:
    """Something that has to be given back."""
    _greeting.set("hello")
    try:
        yield "lent"
    except Problem as problem:
        _logger.warning("the lender has heard of it", code=problem.code)
        raise
    finally:
        _logger.warning("it was given back")


Lent = Annotated[str, Depends(_lent)]


@router.websocket("/ws/borrower")
async def borrower(connection: AnonymousConnection[str | bytes, str | bytes], lent: Lent) -> None:
    """Says what it was lent, and by whom it was greeted."""

    async def answer(_message: str | bytes) -> str:
        return f"{lent}, {_greeting.get()}"

    await connection.serve(answer)


@router.websocket("/ws/refused-borrower")
async def refused_borrower(connection: AnonymousConnection[str | bytes, str | bytes], lent: Lent) -> None:
    """Is lent something, and goes."""
    raise Problem("no_use", f"It does not need what it was {lent}.", status=409)


@foreign.websocket("/echo")
async def foreign_echo(websocket: WebSocket) -> None:
    """Does by hand what the engine would do for it."""
    await websocket.accept("v2" if "v2" in websocket.scope["subprotocols"] else None, [(b"x-foreign", b"yes")])
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        if message.get("text") == "bye":
            await websocket.close(4001, "as you like")
        elif message.get("text") == "bug":
            raise ValueError("a bug of theirs")
        elif message.get("text") is not None:
            await websocket.send_text(message["text"])
        else:
            await websocket.send_bytes(message["bytes"])
    _logger.warning("the foreign endpoint has seen the end", code=message["code"])


@foreign.websocket("/refusal/{kind}")
async def foreign_refusal(websocket: WebSocket, kind: str) -> None:
    """Does not accept, in one of the ways there are."""
    match kind:
        case "close":
            await websocket.close(1008)
        case "lists":
            await websocket.send({"type": "websocket.http.response.start", "status": 409, "headers": [[b"x-a", b"b"]]})
            await websocket.send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
            await websocket.send({"type": "websocket.http.response.body", "body": b"you"})
            assert (await websocket.receive())["type"] == "websocket.connect"
            assert (await websocket.receive())["type"] == "websocket.disconnect"
            _logger.warning("the foreign endpoint is told of its refusal")
        case "response":
            await websocket.send_denial_response(PlainTextResponse("not you", status_code=418))
        case "exception":
            raise WebSocketException(1008)
        case "bug":
            raise ValueError("a bug before the handshake")


router.mount("/foreign", foreign)
