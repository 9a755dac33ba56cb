"""A handshake is answered to the letter as FastAPI would, whether an endpoint has a plan or not."""

from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import iter_route_contexts

from service.engine.application import application
from service.engine.application.application import Application
from service.engine.endpoints.plan import plan_of
from service.engine.endpoints.router import Endpoints
from tests.engine.application.settings import Settings
from tests.engine.handshake.shapes import SHAPES, called, guard, of_any, plain, text

TARGETS = [target for _, _, targets in SHAPES.values() for target in targets]
TARGETS += ["/nothing", "/v1/plain", "/v1/guarded?q=1", "/v1/guarded?n=1", "/v1/guarded?n=x", "/any/thing", "/plain/2"]
TARGETS += ["/plain/twice", "/plain/twice/nothing"]
HEADERS: list[list[tuple[bytes, bytes]]] = [
    [(b"host", b"x")],
    [],
    [(b"host", b"x"), (b"host", b"y")],
    [(b"host", b"x"), (b"origin", b"http://y")],
]


@pytest.fixture(scope="module")
def app() -> FastAPI:
    router = Endpoints()
    for path, (handler, _, _) in SHAPES.items():
        router.websocket(path)(handler)
    inner = Endpoints(prefix="/v1")
    inner.websocket("/plain")(plain)
    inner.websocket("/guarded")(text)
    guarded = APIRouter(dependencies=[Depends(guard)])
    guarded.include_router(inner)
    later = Endpoints()
    later.websocket("/any/{q}")(of_any)
    later.mount("/plain/twice", FastAPI())
    later.websocket("/plain/{q}")(of_any)
    settings = Settings(database_url="postgresql://nobody@localhost:1/nothing", secret_key="x" * 32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "configure_logging", lambda _settings: None)  # it is this process's
        return Application(settings=Settings, endpoints=[router, guarded, later]).create(settings)


def scope_of(target: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "root_path": "",
        "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(), "headers": headers,
        "client": ("192.0.2.7", 7), "server": ("x", 80), "subprotocols": [], "state": {},
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip


async def answer(app: FastAPI, scope: dict[str, Any]) -> Any:
    """The messages by which the application answers a handshake, and which functions it has called meanwhile."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        messages.append(dict(message))

    called.clear()
    try:
        await app(scope, receive, send)
    except Exception as error:
        return type(error), str(error), messages, sorted(called)
    for message in messages:
        message["headers"] = sorted(message.get("headers", ()))
    return messages, sorted(called)


@pytest.mark.parametrize("target", TARGETS)
async def test_both_ways_lead_to_the_same_answer(app: FastAPI, target: str) -> None:
    for headers in HEADERS:
        planned = await answer(app, scope_of(target, headers))
        app.dependency_overrides = {answer: answer}  # which FastAPI alone knows how to follow
        try:
            usual = await answer(app, scope_of(target, headers))
        finally:
            app.dependency_overrides = {}
        assert planned == usual


def test_what_can_be_planned_is(app: FastAPI) -> None:
    for context in iter_route_contexts(app.routes):
        if context.path in SHAPES:
            assert (plan_of(context.dependant) is not None) is SHAPES[context.path][1], context.path


@pytest.mark.parametrize(
    ("target", "past_the_router"),
    [("/text?q=1", True), ("/path/x/1", True), ("/text", False), ("/path/x/y", False), ("/lists", False)],
)
async def test_a_plan_is_followed_and_a_fault_is_for_fastapi(app: FastAPI, target: str, past_the_router: bool) -> None:
    scope = scope_of(target, HEADERS[0])
    await answer(app, scope)
    assert ("router" not in scope) is past_the_router
