"""The life of a connection: its endpoint is run, the handshake accepted or refused, and every outcome has an ending."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.engine.auth.handshake import SUBPROTOCOL, offered_subprotocols
from service.engine.auth.tokens import unauthorized
from service.engine.connection.session import ClientSession
from service.engine.foundation import endings
from service.engine.foundation.endings import Ending
from service.engine.foundation.frames import frame_of
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Problem, Unavailable
from service.engine.foundation.wire import FromClient
from service.engine.link.asgi import AsgiLink
from service.engine.link.link import EXTENSION, Link
from service.engine.process.connections import draining
from service.engine.process.runtime import Runtime

_logger = structlog.get_logger(__name__)


class WebSocketSession(ClientSession):
    """A client that came by a WebSocket handshake."""

    __slots__ = ("websocket",)

    def __init__(self, websocket: WebSocket, runtime: Runtime, connection_id: str) -> None:
        offered: Link | None = websocket.scope.get("extensions", {}).get(EXTENSION)
        super().__init__(runtime, offered or AsgiLink(websocket, runtime.settings.max_outbox_bytes), connection_id)
        self.websocket = websocket


async def live(
    session: WebSocketSession, endpoint: Callable[..., Awaitable[None]], arguments: Mapping[str, Any]
) -> None:
    """Live through one endpoint, whatever happens to it.

    Raises:
        Problem: The handshake was not accepted.
    """
    structlog.contextvars.bind_contextvars(**_identity(session))
    since = monotonic()
    with session.runtime.connections.admitted(session):
        try:
            await _run(session, endpoint, arguments)
        finally:
            session.tasks.cancel()
            await session.link.finish()
            if session.accepted:
                report(session.ending, session.runtime.metrics, monotonic() - since)


async def accept(session: WebSocketSession) -> None:
    """Let the client in, unless it is."""
    if session.accepted:
        return
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered_subprotocols(session.websocket) else None
    try:
        await session.websocket.accept(subprotocol)
    except (OSError, WebSocketDisconnect):
        session.ended(endings.LOST)
        await asyncio.sleep(0)
    session.accepted = True
    session.link.attach(session)
    session.runtime.metrics.handshakes.labels(session.path).inc()
    _logger.debug("connection_opened")


async def serve(session: WebSocketSession, operation: Callable[[Any], Awaitable[Any]] | None) -> None:
    """Run `operation` for each message, until the client leaves."""
    if session.scope.held:
        raise RuntimeError("a database session is open while waiting for messages: close it first")
    await accept(session)
    while True:
        message = await session.inbox.get()
        session.busy = True
        try:
            if operation is None:
                raise RuntimeError("an endpoint that takes messages needs an operation for them: serve(operation)")
            answer = await operation(message)
            if answer is not None:
                session.push(frame_of(answer))
                await session.drained()
        except Problem as problem:
            session.answer_problem(problem, message.client_id if isinstance(message, FromClient) else None)
        finally:
            session.busy = False
        if session.leaves:
            session.leave()
        elif session.ending is not None and session.inbox.empty:
            session.scope.interrupt()


async def _run(
    session: WebSocketSession, endpoint: Callable[..., Awaitable[None]], arguments: Mapping[str, Any]
) -> None:
    try:
        async with session.scope:
            await endpoint(**arguments)
            await accept(session)
        if session.accepted:
            session.close(endings.NORMAL)
        elif session.ending != endings.of_client(endings.LOST):  # or the client did not wait
            raise _refusal(session)
    except Problem as problem:
        if not session.accepted:
            raise
        session.push(frame_of(problem.as_error()))
        session.close(endings.UNAVAILABLE if isinstance(problem, Unavailable) else endings.REFUSED)
    except Exception as error:
        session.failed(error)
        if not session.accepted:
            raise Problem("internal_error", "Something went wrong here.", status=500) from None


def _refusal(session: WebSocketSession) -> Problem:
    """Why a handshake is refused that ended before it was accepted."""
    if session.ending == endings.TOKEN_EXPIRED:
        return unauthorized("expired_token", "The token has expired.")
    if session.ending == endings.REVOKED:
        return unauthorized("invalid_token", "The token is not valid: it was revoked.")
    return draining()


def _identity(session: WebSocketSession) -> dict[str, object]:
    """What its log lines carry."""
    user = {} if session.principal is None else {"user_id": session.principal.user_id}
    return {"connection_id": session.id, "path": session.websocket.scope["path"][:256], **user}


def report(ending: Ending | None, metrics: Metrics, seconds: float) -> None:
    """Log and count how a connection has ended."""
    metrics.closes.labels(endings.label(ending)).inc()
    code, reason = (None, None) if ending is None else (ending.code, ending.reason)
    _logger.info("connection_closed", code=code, reason=reason, seconds=round(seconds, 1))
