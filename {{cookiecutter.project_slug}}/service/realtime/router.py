"""How an endpoint is declared: `@endpoints.websocket(path)` on a function whose first parameter is its connection."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from fastapi import APIRouter, Depends, WebSocket
from fastapi.requests import HTTPConnection

from service.auth.handshake import authenticate, check_origin
from service.realtime.codec import Codec
from service.realtime.connection import Connection, In, Out
from service.realtime.engine import Engine

Handler = Callable[..., Awaitable[None]]
F = TypeVar("F", bound=Callable[..., Any])


def engine_of(connection: HTTPConnection) -> Engine:
    """The engine of the process that a request or handshake came to."""
    engine: Engine = connection.app.state.engine
    return engine


async def _anybody(websocket: WebSocket) -> Connection[Any, Any]:
    engine = engine_of(websocket)
    engine.connections.check_room()  # before a ticket is used up
    check_origin(websocket, engine.settings.allowed_origins)
    return Connection(websocket, engine, None)


async def _authenticated(websocket: WebSocket) -> Connection[Any, Any]:
    connection = await _anybody(websocket)
    connection.principal = await authenticate(websocket, engine_of(websocket).tokens, engine_of(websocket).tickets)
    return connection


AnonymousConnection = Annotated[Connection[In, Out], Depends(_anybody)]
AuthenticatedConnection = Annotated[Connection[In, Out], Depends(_authenticated)]


@dataclass(frozen=True)
class Endpoint:
    """What was declared: where, in what words, and for whom."""

    path: str
    handler: Handler
    incoming: Any
    outgoing: Any
    authenticated: bool


class Endpoints(APIRouter):
    """A router whose WebSocket endpoints live in the engine.

    The types of a handler's connection say what it takes and sends; what is not declared is refused, and fails the
    type check.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.declared: list[Endpoint] = []

    def websocket(self, path: str, name: str | None = None, **options: Any) -> Callable[[F], F]:
        def declare(handler: F) -> F:
            parameter, incoming, outgoing = _connection_types(handler)
            dependencies = get_args(get_type_hints(handler, include_extras=True)[parameter])[1:]
            authenticated = Depends(_authenticated) in dependencies
            self.declared.append(Endpoint(path, handler, incoming, outgoing, authenticated))
            codec = Codec(incoming)

            @wraps(handler)
            async def live(**arguments: Any) -> None:
                connection: Connection[Any, Any] = arguments[parameter]
                await connection.run(path, codec, handler, arguments)

            super(Endpoints, self).websocket(path, name, **options)(live)
            return handler

        return declare


def _connection_types(handler: Handler) -> tuple[str, Any, Any]:
    hints = get_type_hints(handler)
    for parameter in inspect.signature(handler).parameters:
        if get_origin(hints.get(parameter)) is Connection:
            return parameter, *get_args(hints[parameter])
    raise TypeError(f"{handler.__name__} needs a connection: AuthenticatedConnection[what it takes, what it sends]")
