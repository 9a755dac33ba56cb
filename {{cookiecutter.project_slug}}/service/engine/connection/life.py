"""The life of a connection: its endpoint is run, the handshake accepted or refused, and every outcome has an ending."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import structlog
from starlette.websockets import WebSocket

from service.engine.auth.handshake import SUBPROTOCOL, offered_subprotocols
from service.engine.auth.tokens import unauthorized
from service.engine.connection.session import ClientSession
from service.engine.foundation import endings
from service.engine.foundation.endings import Ending
from service.engine.foundation.frames import frame_of
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.operations import Around, Operation, begun_of
from service.engine.foundation.problems import Problem, Unavailable
from service.engine.foundation.wire import FromClient
from service.engine.link.asgi import AsgiLink
from service.engine.link.link import EXTENSION, Link
from service.engine.process.connections import draining
from service.engine.process.runtime import Runtime

_LOST = endings.of_client(endings.LOST)

Refuse = Callable[[WebSocket, Problem], Awaitable[None]]

_logger = structlog.get_logger(__name__)
_plain_logger = logging.getLogger(__name__)
"""For lines that are seldom wanted: structlog takes longer to find that out."""


class WebSocketSession(ClientSession):
    """A client that came by a WebSocket handshake, which is `websocket` until it is answered."""

    __slots__ = ("websocket",)

    def __init__(self, websocket: WebSocket, runtime: Runtime, connection_id: str) -> None:
        offered: Link | None = websocket.scope.get("extensions", {}).get(EXTENSION)
        super().__init__(runtime, offered or AsgiLink(websocket, runtime.settings.max_outbox_bytes), connection_id)
        self.websocket: WebSocket | None = websocket


async def live(session: WebSocketSession, endpoint: Callable[[], Awaitable[None]], refuse: Refuse) -> None:
    """Live through one endpoint, whatever happens to it; `refuse` answers a handshake that is not accepted."""
    structlog.contextvars.bind_contextvars(**_identity(session))
    since = monotonic()
    refusal = None
    try:
        session.runtime.connections.admit(session)
        try:
            async with session.scope:
                running = endpoint()
                del endpoint  # and the arguments that it holds
                await running
                await accept(session)
            refusal = _outcome(session)
        except Exception as error:
            refusal = _outcome_of(error, session)
        finally:
            session.tasks.cancel()
            await session.link.finish()
            session.runtime.connections.discharge(session)
            if session.accepted:
                report(session.ending, session.runtime.metrics, monotonic() - since)
            session.forget()
    except Problem as problem:
        refusal = problem
    if refusal is not None:
        assert session.websocket is not None
        await refuse(session.websocket, refusal.with_traceback(None))  # which leads back here, in a circle
    elif session.websocket is not None:  # the client did not wait
        await _end_handshake(session.websocket)


async def accept(session: WebSocketSession) -> None:
    """Let the client in, unless it is."""
    if session.websocket is not None:
        await _end_handshake(session.websocket)
    if session.websocket is None:
        return
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered_subprotocols(session.websocket) else None
    await session.link.accept(session, subprotocol)
    if session.ending == _LOST:
        await asyncio.sleep(0)
    session.accepted = True
    session.websocket = None
    session.runtime.metrics.handshakes[session.path] += 1
    _plain_logger.debug("connection_opened")


async def serve(session: WebSocketSession, operation: Callable[[Any], Awaitable[Any]] | None) -> None:
    """Run `operation` for each message, until the client leaves."""
    if session.scope.held:
        raise RuntimeError("a database session is open while waiting for messages: close it first")
    await accept(session)
    if operation is not None and session.runtime.around is not None:
        operation = _wrapped(operation, session.runtime.around, session)
    while True:
        while session.inbox.empty:
            await session.inbox.arrival()
        message = session.inbox.take()
        session.busy = True
        try:
            if operation is None:
                raise RuntimeError("an endpoint that takes messages needs an operation for them: serve(operation)")
            answer = await operation(message)
            if answer is not None:
                session.push(frame_of(answer))
                if session.link.congested:
                    await session.drained()
        except Problem as problem:
            session.answer_problem(problem, message.client_id if isinstance(message, FromClient) else None)
        finally:
            session.busy = False
            message = answer = None  # nothing of it is kept while the next one is waited for
        if session.leaves:
            session.leave()
        elif session.is_answered:
            session.end()


async def _end_handshake(websocket: WebSocket) -> None:
    if (begun := begun_of(websocket.scope)) is not None:
        await begun.end()


def _wrapped(
    operation: Callable[[Any], Awaitable[Any]], around: Around, session: WebSocketSession
) -> Callable[[Any], Awaitable[Any]]:
    async def run(message: Any) -> Any:
        doing = Operation(
            kind="message",
            name=session.path,
            connection_id=session.id,
            user_id=session.user_id,
            message=type(message).__name__,
        )
        async with around(doing):
            return await operation(message)

    return run


def _outcome(session: WebSocketSession) -> Problem | None:
    """The endpoint has returned, or was interrupted. Returns why the handshake is refused, if it was not accepted."""
    if session.accepted:
        session.close(endings.NORMAL)
        session.say_ending()
    elif session.ending != _LOST:  # or the client did not wait
        return _refusal(session)
    return None


def _outcome_of(error: Exception, session: WebSocketSession) -> Problem | None:
    if not isinstance(error, Problem):
        session.failed(error)
        error = Problem("internal_error", "Something went wrong here.", status=500)
    elif session.accepted:
        session.push(frame_of(error.as_error()))
        session.close(endings.UNAVAILABLE if isinstance(error, Unavailable) else endings.REFUSED)
    return None if session.accepted else error


def _refusal(session: WebSocketSession) -> Problem:
    """Why a handshake is refused that ended before it was accepted."""
    if session.ending == endings.TOKEN_EXPIRED:
        return unauthorized("expired_token", "The token has expired.")
    if session.ending == endings.REVOKED:
        return unauthorized("invalid_token", "The token is not valid: it was revoked.")
    return draining()


def _identity(session: WebSocketSession) -> dict[str, object]:
    """What its log lines carry."""
    assert session.websocket is not None
    user = {} if session.principal is None else {"user_id": session.principal.user_id}
    return {"connection_id": session.id, "path": session.websocket.scope["path"][:256], **user}


def report(ending: Ending | None, metrics: Metrics, seconds: float) -> None:
    """Log and count how a connection has ended."""
    metrics.closes[endings.label(ending)] += 1
    code, reason = (None, None) if ending is None else (ending.code, ending.reason)
    _logger.info("connection_closed", code=code, reason=reason, seconds=round(seconds, 1))
