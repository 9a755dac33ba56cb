"""The way of a handshake to its endpoint, past what is for requests: middleware, routing, FastAPI's solver."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIWebSocketRoute, RouteContext, iter_route_contexts
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from service.engine.endpoints.errors import refuse
from service.engine.endpoints.http import SafeHeaders, has_host
from service.engine.endpoints.plan import Plan, plan_of
from service.engine.endpoints.router import SESSIONS
from service.engine.foundation.problems import Problem
from service.engine.observability.requests import name_client

_ANY_PATH = re.compile("")


@dataclass(frozen=True, slots=True)
class _Way:
    """A route that may take a handshake, and the plan for it, if it is one of the engine's that has one."""

    pattern: re.Pattern[str]
    matches: Callable[[Scope], tuple[Match, Scope]]
    plan: Plan | None


class Handshakes:
    """ASGI middleware, but not of requests: a handshake that an endpoint has a plan for goes to it straight.

    What the other middleware does for a handshake is done here too. One for which there is no plan, or that the plan
    finds fault with, takes the usual way, and with it get its answer.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._safe_headers = SafeHeaders(app, https=https)
        self._ways: list[_Way] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._ways is None:  # when the application starts, if its server says so
            self._ways = _ways_of(scope["app"])
        found = self._planned(scope, self._ways) if scope["type"] == "websocket" else None
        return self._app(scope, receive, send) if found is None else self._open(*found, scope, receive, send)

    def _planned(self, scope: Scope, ways: list[_Way]) -> tuple[Plan, Scope] | None:
        path = scope["path"]
        if path.endswith("\n") or not has_host(scope) or scope.get("root_path"):
            return None
        if scope["app"].dependency_overrides or scope.get("fastapi.telemetry") is not None:
            return None
        for way in ways:
            if way.pattern.match(path):
                match, more = way.matches(scope)
                if match is Match.FULL:
                    return None if way.plan is None else (way.plan, more)
        return None

    async def _open(self, plan: Plan, more: Scope, scope: Scope, receive: Receive, send: Send) -> None:
        safe_send = self._safe_headers.adding(send)
        websocket = WebSocket({**scope, **more}, receive, safe_send)
        arguments = plan.arguments(websocket)
        if arguments is None:
            await self._app(scope, receive, send)
            return
        name_client(scope)
        try:
            await plan.follow(arguments)
        except Problem as problem:
            await refuse(websocket, problem)
        except Exception as error:
            await _answer(error, scope["app"], websocket.scope, receive, safe_send)


def _ways_of(app: FastAPI) -> list[_Way]:
    """In the order in which they are looked through; those for requests alone are left out."""
    return [
        _way(context) for context in iter_route_contexts(app.routes) if not isinstance(context.original_route, Route)
    ]


def _way(context: RouteContext) -> _Way:
    plan = None
    if isinstance(context.original_route, APIWebSocketRoute):
        needed = {dependency.call for dependency in context.dependant.dependencies}
        plan = plan_of(context.dependant) if needed & SESSIONS else None
    return _Way(getattr(context, "path_regex", _ANY_PATH), context.matches, plan)


async def _answer(error: Exception, app: FastAPI, scope: Scope, receive: Receive, send: Send) -> None:
    """As the application's exception handlers would."""

    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    handlers: dict[Any, Any] = {
        kind: app.exception_handlers[kind] for kind in app.exception_handlers if kind not in {500, Exception}
    }
    await ExceptionMiddleware(fail, handlers=handlers)(scope, receive, send)
