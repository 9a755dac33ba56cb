"""How an endpoint is declared: `@router.websocket(path)` on a function whose first parameter is its connection."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial, wraps
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from fastapi import APIRouter, Depends, WebSocket
from fastapi.params import Depends as Dependency
from fastapi.params import Security

from service.engine.auth.handshake import authenticate, check_origin
from service.engine.connection.connection import Connection, In, Out
from service.engine.connection.life import WebSocketSession, live
from service.engine.endpoints.errors import refuse
from service.engine.endpoints.parameters import ResumeAfter, connection_id
from service.engine.endpoints.security import authenticated
from service.engine.endpoints.service_app import runtime_of
from service.engine.foundation.problems import Problem
from service.engine.link.codec import Codec

_DEPENDENCIES = ("fastapi_inner_astack", "fastapi_function_astack")
"""Where FastAPI keeps those with `yield` that it has entered, the outer ones first."""

Handler = Callable[..., Awaitable[None]]
F = TypeVar("F", bound=Callable[..., Any])


async def _anybody(websocket: WebSocket) -> WebSocketSession:
    runtime = runtime_of(websocket)
    runtime.connections.check_room()  # before a ticket is used up
    check_origin(websocket, runtime.settings.allowed_origins)
    return WebSocketSession(websocket, runtime, connection_id(websocket))


async def _authenticated(websocket: WebSocket) -> WebSocketSession:
    session = await _anybody(websocket)
    runtime = session.runtime
    session.principal = await authenticate(websocket, runtime.tokens, runtime.tickets)
    return session


SESSIONS = frozenset({_anybody, _authenticated})
"""What an endpoint of the engine depends on."""

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
    scopes: tuple[str, ...]
    resumes: bool
    """Whether it sends what was missed first."""


class Endpoints(APIRouter):
    """A router whose WebSocket endpoints live in the engine.

    The types of a handler's connection say what it takes and sends; what is not declared is refused, and fails the
    type check. `dependencies=[requires_scope(…)]` asks for scopes, of the handshake's token and of each that follows.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.declared: list[Endpoint] = []

    def websocket(
        self, path: str, name: str | None = None, *, dependencies: Sequence[Dependency] | None = None
    ) -> Callable[[F], F]:
        def declare(handler: F) -> F:
            parameter, incoming, outgoing = _connection_types(handler)
            hints = get_type_hints(handler, include_extras=True)
            is_authenticated = Depends(_authenticated) in get_args(hints[parameter])[1:]
            scopes, rest = _scopes_among(dependencies or ())
            resumes = ResumeAfter in hints.values()
            endpoint = Endpoint(path, handler, incoming, outgoing, is_authenticated, scopes, resumes)
            if scopes and not endpoint.authenticated:
                raise TypeError(f"{handler.__name__} asks for a scope of anybody: declare an AuthenticatedConnection")
            self.declared.append(endpoint)
            codec = Codec(incoming)

            @wraps(handler)
            async def run(**arguments: Any) -> None:
                session: WebSocketSession = arguments[parameter]
                session.path, session.codec, session.required_scopes = path, codec, scopes
                if session.principal is not None:
                    session.check_scopes(session.principal)
                endpoint = partial(handler, **{**arguments, parameter: Connection(session)})
                await session.link.run(_life(session, endpoint))

            super(Endpoints, self).websocket(path, name, dependencies=rest)(run)
            return handler

        return declare


def _life(session: WebSocketSession, endpoint: Callable[[], Awaitable[None]]) -> Coroutine[Any, Any, None]:
    assert session.websocket is not None
    scope = session.websocket.scope
    lent = [scope[name].pop_all() for name in _DEPENDENCIES if name in scope]
    return _live_with(lent, session, endpoint) if lent else live(session, endpoint, refuse)


async def _live_with(
    lent: Sequence[AsyncExitStack], session: WebSocketSession, endpoint: Callable[[], Awaitable[None]]
) -> None:
    """Live in the dependencies with `yield`: FastAPI would end them when the handshake's checks have returned."""
    try:
        async with AsyncExitStack() as stack:
            for each in lent:
                await stack.enter_async_context(each)
            await live(session, endpoint, _raise)
    except Problem as problem:
        assert session.websocket is not None
        await refuse(session.websocket, problem)


async def _raise(_websocket: WebSocket, problem: Problem) -> None:
    raise problem


def _scopes_among(dependencies: Sequence[Dependency]) -> tuple[tuple[str, ...], list[Dependency]]:
    """What `requires_scope` asks for, which a connection needs as long as it lives, and the other dependencies."""
    scopes: list[str] = []
    rest: list[Dependency] = []
    for dependency in dependencies:
        if isinstance(dependency, Security) and dependency.dependency is authenticated:
            scopes += dependency.scopes or ()
        else:
            rest.append(dependency)
    return tuple(scopes), rest


def _connection_types(handler: Handler) -> tuple[str, Any, Any]:
    hints = get_type_hints(handler)
    for parameter in inspect.signature(handler).parameters:
        if get_origin(hints.get(parameter)) is Connection:
            return parameter, *get_args(hints[parameter])
    raise TypeError(f"{handler.__name__} needs a connection: AuthenticatedConnection[what it takes, what it sends]")
