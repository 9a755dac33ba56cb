"""Handshakes and requests of the API as operations: ASGI middleware, there only if something is around operations."""

from fastapi import FastAPI
from fastapi.requests import HTTPConnection
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from service.engine.endpoints.errors import answer, refuse
from service.engine.endpoints.parameters import connection_id
from service.engine.foundation.operations import BEGUN, Around, Begun, Kind, Operation
from service.engine.foundation.problems import Problem
from service.engine.link.link import EXTENSION

_API = "/api/"
_TRACEPARENT = "traceparent"


class _Names:
    """What the endpoint of a handshake or request is called: its path, as it was declared."""

    def __init__(self) -> None:
        self._contexts: list[RouteContext] | None = None

    def of(self, scope: Scope) -> str:
        if self._contexts is None:  # the application has all its routes when it is first asked
            app: FastAPI = scope["app"]
            self._contexts = list(iter_route_contexts(app.routes))
        found = (context.path for context in self._contexts if context.matches(scope)[0] is Match.FULL)
        return next(found, None) or "none"


class ObservedHandshakes:
    """Not of requests. A handshake ends where it is answered, which is after all that has checked it has returned."""

    def __init__(self, app: ASGIApp, *, around: Around) -> None:
        self._app = app
        self._around = around
        self._names = _Names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        identity = connection_id(HTTPConnection(scope))
        begun = _begun(self._around, "handshake", self._names.of(scope), scope, identity)

        async def answering(message: Message) -> None:
            await begun.end()
            await send(message)

        try:
            await begun.begin()
            await self._app(scope, receive, answering)
            if not getattr(scope.get("extensions", {}).get(EXTENSION), "has_life", False):
                await begun.end()
        except Problem as problem:  # of what is around it
            await refuse(WebSocket(scope, receive, send), problem)
        except BaseException as error:
            await begun.end(error)
            raise


class ObservedRequests:
    """The innermost, so that what is around a request fails as its endpoint would."""

    def __init__(self, app: ASGIApp, *, around: Around) -> None:
        self._app = app
        self._around = around
        self._names = _Names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_API):
            await self._app(scope, receive, send)
            return
        name = f"{scope['method']} {self._names.of(scope)}"
        begun = _begun(self._around, "request", name, scope)
        operation = begun.operation

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                operation.status = message["status"]
            await send(message)

        try:
            await begun.begin()
            await self._app(scope, receive, watch)
            await begun.end()
        except Problem as problem:
            if operation.status is not None:
                raise
            await answer(problem)(scope, receive, send)
        except BaseException as error:
            await begun.end(error)
            raise


def _begun(around: Around, kind: Kind, name: str, scope: Scope, connection: str | None = None) -> Begun:
    traceparent = Headers(scope=scope).get(_TRACEPARENT)
    operation = Operation(kind=kind, name=name, connection_id=connection, traceparent=traceparent)
    begun = scope[BEGUN] = Begun(around, operation)
    return begun
