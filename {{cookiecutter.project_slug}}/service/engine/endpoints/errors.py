"""Every problem in one form: JSON with `type`, `code` and `message`, for requests and for handshakes."""

from asyncio import CancelledError
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Response, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.requests import HTTPConnection
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine.endpoints.http import whence
from service.engine.endpoints.parameters import connection_id
from service.engine.endpoints.service_app import runtime_of
from service.engine.foundation.operations import begun_of
from service.engine.foundation.problems import Problem, Refusal
from service.engine.foundation.wire import first_problem
from service.engine.link.handshake_refusal import refusal_of
from service.engine.process.connections import draining

_PHRASES = {413: "Content Too Large"}
"""RFC 9110's words where Python before 3.13 has older ones."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_FASTAPIS_NOT_JSON = "There was an error parsing the body"

_logger = structlog.get_logger(__name__)


def answer_problems(app: FastAPI) -> None:
    """Install what answers them."""
    handlers: dict[Any, Any] = {
        Problem: _on_problem,
        HTTPException: _on_http_exception,
        RequestValidationError: _on_invalid,
        WebSocketRequestValidationError: _on_invalid,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    app.router.default = _not_served
    app.add_middleware(AnswerBugs)


class AnswerBugs:
    """ASGI middleware that answers what nobody has caught.

    Starlette would answer it too, but outside all other middleware: without their headers, log line and measurement.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = scope["type"] != "http"

        async def watch(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except CancelledError:
            if answering:
                raise
            await answer(draining())(scope, receive, send)  # the process stops, and had waited long enough
        except Exception:
            if answering:
                raise
            _logger.exception("request_failed", path=scope["path"])
            await answer(Problem("internal_error", "Something went wrong here.", status=500))(scope, receive, send)


async def _on_problem(connection: HTTPConnection, problem: Problem) -> Response | None:
    if isinstance(connection, WebSocket):
        await refuse(connection, problem)
        return None
    return answer(problem)


async def _on_http_exception(connection: HTTPConnection, error: HTTPException) -> Response | None:
    if error.detail == _FASTAPIS_NOT_JSON:
        return await _on_problem(connection, _not_json())
    phrase = _PHRASES.get(error.status_code) or HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_")
    headers = _allow(connection) if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else error.headers
    problem = Problem(code, f"{phrase}.", status=error.status_code, headers=headers)
    return await _on_problem(connection, problem)


def _allow(connection: HTTPConnection) -> dict[str, str]:
    """Every method of the path; Starlette names those of the first route alone."""

    def leads_somewhere(method: str) -> bool:
        return _is_routed(connection.scope, method="GET" if method == "HEAD" else method)

    return {"Allow": ", ".join(filter(leads_somewhere, _METHODS))}


def _is_routed(scope: Scope, **changes: str) -> bool:
    """Whether there is an endpoint for a request that differs by `changes`."""
    return any(route.matches({**scope, **changes})[0] is Match.FULL for route in scope["app"].routes)


async def _on_invalid(
    connection: HTTPConnection, error: RequestValidationError | WebSocketRequestValidationError
) -> Response | None:
    errors = list(error.errors())
    if errors[0]["type"] == "json_invalid":
        return await _on_problem(connection, _not_json())
    return await _on_problem(connection, Problem("invalid_request", first_problem(errors, skip=1), status=422))


def _not_json() -> Problem:
    return Problem("invalid_json", "The body is not JSON.", status=422)


async def _not_served(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of what has no endpoint: no path of ours, or one of ours but no handshake."""
    if scope["type"] == "http" and (scope["method"], scope["path"]) == ("OPTIONS", "*"):  # RFC 9110 §9.3.7
        await Response(status_code=204)(scope, receive, send)
        return
    is_handshake_lost = scope["type"] == "http" and _is_routed(scope, type="websocket")
    refusal = is_handshake_lost and refusal_of(scope["method"], scope["http_version"], Headers(scope=scope))
    if refusal:
        _report(HTTPConnection(scope), refusal)
        await _json(refusal.as_refused().encode(), refusal)(scope, receive, send)
    else:
        await not_found(scope, receive, send)


async def bad_request(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of requests that RFC 9112 §3.2 refuses."""
    problem = Problem("bad_request", "There must be one Host, and it must be the name of one.", status=400)
    await _give(problem, scope, receive, send)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application of every path that is none of ours."""
    await _give(Problem("not_found", "There is nothing here.", status=404), scope, receive, send)


async def _give(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await refuse(WebSocket(scope, receive, send), problem)
    else:
        await answer(problem)(scope, receive, send)


async def refuse(handshake: WebSocket, problem: Problem) -> None:
    """Answer a handshake with HTTP, or where the server cannot do that with the close code alone."""
    if (begun := begun_of(handshake.scope)) is not None:
        await begun.end(problem)
    if not isinstance(problem, Refusal):
        close_code = 1013 if problem.status in {429, 503} else 1008
        problem = Refusal(problem.status, problem.code, problem.message, close_code, problem.headers)
    _report(handshake, problem)
    if "websocket.http.response" in handshake.scope.get("extensions", {}):
        await handshake.send_denial_response(_json(problem.as_refused().encode(), problem))
    else:
        await handshake.close(problem.close_code, problem.code)


def _report(handshake: HTTPConnection, refusal: Refusal) -> None:
    runtime_of(handshake).metrics.refusals.labels(refusal.code).inc()
    path, others = whence(handshake.scope)
    identity = connection_id(handshake)
    _logger.info(
        "handshake_refused", code=refusal.code, status=refusal.status, path=path, connection_id=identity, **others
    )


def answer(problem: Problem) -> Response:
    """The answer to a request that cannot be done."""
    return _json(problem.as_error().encode(), problem)


def _json(body: bytes, problem: Problem) -> Response:
    return Response(body, problem.status, problem.headers, media_type="application/json")
