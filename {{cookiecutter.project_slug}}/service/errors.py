"""Every problem in one form: JSON with `type`, `code` and `message`, for requests and for handshakes."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.requests import HTTPConnection
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from service.problems import Problem, Refusal
from service.realtime.router import engine_of
from service.wire import first_problem

_PHRASES = {413: "Content Too Large"}
"""RFC 9110's words where Python before 3.13 has older ones."""

_logger = structlog.get_logger(__name__)


def answer_problems(app: FastAPI) -> None:
    """Install the handlers."""
    handlers: dict[Any, Any] = {
        Problem: _on_problem,
        HTTPException: _on_http_exception,
        RequestValidationError: _on_invalid,
        WebSocketRequestValidationError: _on_invalid,
        Exception: _on_bug,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    app.router.default = _not_found


async def _on_problem(connection: HTTPConnection, problem: Problem) -> Response | None:
    if isinstance(connection, WebSocket):
        await _refuse(connection, problem)
        return None
    return _json(problem.as_error().encode(), problem)


async def _on_http_exception(connection: HTTPConnection, error: HTTPException) -> Response | None:
    phrase = _PHRASES.get(error.status_code) or HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_")
    problem = Problem(code, f"{phrase}.", status=error.status_code, headers=error.headers)
    return await _on_problem(connection, problem)


async def _on_invalid(
    connection: HTTPConnection, error: RequestValidationError | WebSocketRequestValidationError
) -> Response | None:
    errors = list(error.errors())
    if errors[0]["type"] == "json_invalid":
        return await _on_problem(connection, Problem("invalid_json", "The body is not JSON.", status=422))
    return await _on_problem(connection, Problem("invalid_request", first_problem(errors, skip=1), status=422))


async def _on_bug(request: Request, error: Exception) -> Response:
    _logger.error("request_failed", path=request.url.path, exc_info=error)
    problem = Problem("internal_error", "Something went wrong here.", status=500)
    return _json(problem.as_error().encode(), problem)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem("not_found", "There is nothing here.", status=404)
    if scope["type"] == "websocket":
        await _refuse(WebSocket(scope, receive, send), problem)
    else:
        await _json(problem.as_error().encode(), problem)(scope, receive, send)


async def _refuse(handshake: WebSocket, problem: Problem) -> None:
    """Answer a handshake with HTTP, or where the server cannot do that with the close code alone."""
    if not isinstance(problem, Refusal):
        close_code = 1013 if problem.status in {429, 503} else 1008
        problem = Refusal(problem.status, problem.code, problem.message, close_code, problem.headers)
    engine_of(handshake).metrics.refusals.labels(problem.code).inc()
    _logger.info("handshake_refused", code=problem.code, status=problem.status)
    if "websocket.http.response" in handshake.scope.get("extensions", {}):
        await handshake.send_denial_response(_json(problem.as_refused().encode(), problem))
    else:
        await handshake.close(problem.close_code, problem.code)


def _json(body: bytes, problem: Problem) -> Response:
    return Response(body, problem.status, problem.headers, media_type="application/json")
