"""Every stream over HTTP, from its declaration alone: what there is, and server-sent events of what comes."""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response, Security
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, BeforeValidator, Field, create_model
from starlette.types import Receive, Scope, Send

from service.engine.auth.handshake import authenticate, check_origin
from service.engine.auth.principal import Principal
from service.engine.connection.event_stream import EventStream
from service.engine.connection.session import new_id
from service.engine.endpoints.parameters import After, Limit, ResumeAfter, Runtime
from service.engine.endpoints.security import BEARER, CurrentUser
from service.engine.endpoints.service_app import runtime_of
from service.engine.foundation.wire import BIGGEST_INTEGER, Number, UserIdField
from service.engine.link.server_sent_asgi import AsgiServerSentLink
from service.engine.link.server_sent_socket import EXTENSION, SocketServerSentLink
from service.engine.process.runtime import Runtime as _Runtime
from service.engine.streams.names import parameter_types
from service.engine.streams.stream import Stream, StreamKey

_PREFIX = "/api/streams"
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"description": "There is no stream of this name."}}
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events, until either side ends it.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"connection", b"close"),  # whoever comes back may get to another process
    (b"x-accel-buffering", b"no"),  # nginx would keep events back until its buffer is full
]

LastEventId = Annotated[
    Annotated[Number, Field(ge=0, le=BIGGEST_INTEGER)] | None,
    BeforeValidator(lambda said: said or None),  # some send it empty before the first event
    Header(alias="Last-Event-ID", description="The `id` of the last event; before `after`"),
]


def ways_of(streams: Sequence[Stream[Any]]) -> APIRouter:
    """The routes of all of them."""
    router = APIRouter()
    for stream in streams:
        _add_history(router, stream)
        _add_events(router, stream)
        if stream.presence:
            _add_presence(router, stream)

    @router.get(f"{_PREFIX}/{{name:path}}/events", include_in_schema=False)
    async def events_of_none(name: str, _user: Annotated[Principal, Depends(_follower)], runtime: Runtime) -> None:
        runtime.streams.names.key(f"{name}/")  # is none, or its own route would have been found

    @router.get(f"{_PREFIX}/{{name:path}}", include_in_schema=False)
    async def none(name: str, _user: CurrentUser, runtime: Runtime) -> None:
        runtime.streams.names.key(f"{name}/")

    return router


class Present(BaseModel):
    """Who is there."""

    users: list[UserIdField]
    count: int


class EventStreamResponse(Response):
    """An answer that goes on until either side ends it."""

    def __init__(self, runtime: _Runtime, key: StreamKey[Any], user: Principal, after: int | None) -> None:
        super().__init__()
        self._runtime = runtime
        self._key = key
        self._user = user
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = self._runtime.settings.max_outbox_bytes
        offered = scope.get("extensions", {}).get(EXTENSION)
        link = (
            SocketServerSentLink(offered, receive, send, most) if offered else AsgiServerSentLink(receive, send, most)
        )
        client = EventStream(self._runtime, new_id(), self._user, link)
        await client.live(self._key, self._after, _HEADERS, scope["route"].path)


def _add_history(router: APIRouter, stream: Stream[Any]) -> None:
    event = stream.event
    model = create_model(f"{event.__name__}History", events=(list[event], ...), last_seq=(int, ...))  # type: ignore[valid-type]
    key_of = _key_of(stream)

    @router.get(
        f"{_PREFIX}/{stream.name}",
        response_model=model,
        responses=_UNKNOWN | {304: {"description": "It is as it was."}},
        summary=f"What there is of {stream.name}",
        description=f"The events after a position, oldest first. {stream.rights}",
        name=f"history of {stream.name}",
    )
    async def history(
        request: Request,
        user: CurrentUser,
        key: Annotated[StreamKey[Any], Depends(key_of)],
        after: After = 0,
        limit: Limit = 100,
    ) -> Response:
        events, last_seq = await runtime_of(request).streams.events(key, user, after, limit)
        body = b'{"events":[%b],"last_seq":%d}' % (b",".join(event.frame.payload for event in events), last_seq)
        headers = {
            "ETag": f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"',
            "Cache-Control": "private, no-cache",
            "Vary": "Authorization",
        }
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)


def _add_events(router: APIRouter, stream: Stream[Any]) -> None:
    key_of = _key_of(stream)

    @router.get(
        f"{_PREFIX}/{stream.name}/events",
        response_class=StreamingResponse,
        responses=_UNKNOWN | _EVENTS,
        summary=f"Server-sent events of {stream.name}",
        description=f"What came after a position, then what comes. {stream.rights}",
        name=f"events of {stream.name}",
    )
    async def events(
        user: Annotated[Principal, Depends(_follower)],
        key: Annotated[StreamKey[Any], Depends(key_of)],
        runtime: Runtime,
        after: ResumeAfter = None,
        last_event_id: LastEventId = None,
    ) -> Response:
        return EventStreamResponse(runtime, key, user, after if last_event_id is None else last_event_id)


def _add_presence(router: APIRouter, stream: Stream[Any]) -> None:
    key_of = _key_of(stream)

    @router.get(
        f"{_PREFIX}/{stream.name}/presence",
        responses=_UNKNOWN,
        summary=f"Who is on {stream.name}",
        description=f"At most 1,000 of them, and how many there are. {stream.rights}",
        name=f"presence on {stream.name}",
    )
    async def presence(user: CurrentUser, key: Annotated[StreamKey[Any], Depends(key_of)], runtime: Runtime) -> Present:
        await stream.check_reader(key, user, runtime.database)
        found = await runtime.presence.listed(key.name)
        return Present(users=found.users, count=found.count)


async def _follower(request: Request, _: Annotated[Any, Security(BEARER)]) -> Principal:
    """Whoever may open a WebSocket may follow: with the same tokens, in the same places."""
    runtime = runtime_of(request)
    runtime.connections.check_room()  # before a ticket is used up
    check_origin(request, runtime.settings.allowed_origins)
    return await authenticate(request, runtime.tokens, runtime.tickets)


def _key_of(stream: Stream[Any]) -> Callable[..., Any]:
    """A dependency on the path's parameters, each of its type."""

    async def key(request: Request, **_values: Any) -> StreamKey[Any]:
        name = stream.name.format_map(request.path_params)
        return runtime_of(request).streams.names.key(name)

    wanted = [inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)]
    for name, kind in parameter_types(stream).items():
        wanted.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, Path()]))
    key.__signature__ = inspect.Signature(wanted)  # type: ignore[attr-defined]
    return key
