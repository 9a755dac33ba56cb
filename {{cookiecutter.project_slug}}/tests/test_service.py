"""The service as a whole, whatever its endpoints are: it starts, describes all of them, and lets no stranger in."""

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.engine.kit.client import refused
from tests.engine.kit.commands import Commands
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service

if TYPE_CHECKING:
    from fastapi import APIRouter


@pytest.fixture(scope="module")
def routers() -> list["APIRouter"]:
    """Everything that is served."""
    from service.app import application  # it takes a second, which no other worker needs to spend

    return application.routers(demo_endpoints=True)


def address(path: str) -> str:
    """A path with something in the place of its parameters."""
    return re.sub(r"{\w+}", "1", path)


@pytest.fixture
async def openapi(http: httpx.AsyncClient) -> dict[tuple[str, str], bool]:
    """What the OpenAPI document describes, and whether it needs a token."""
    paths = (await http.get("/openapi.json")).json()["paths"]
    return {
        (method, path): bool(operation.get("security"))
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def test_it_starts_and_is_ready(service: Service) -> None:
    assert service.get("/readyz").json() == {"status": "ok", "failed": {}}


async def test_whoever_has_a_token_gets_an_answer(service: Service, connect: Connect, user: int) -> None:
    await (await connect(service, "/ws/ping", user=user)).lives()


def paths(asyncapi: dict[str, Any]) -> dict[str, str]:
    """The channels that a WebSocket can be opened to; the others are streams, to follow on one of these."""
    addresses = {name: channel["address"] for name, channel in asyncapi["channels"].items()}
    return {name: address for name, address in addresses.items() if address.startswith("/")}


def test_every_websocket_endpoint_is_described(
    service: Service, commands: Commands, routers: list["APIRouter"]
) -> None:
    from starlette.routing import WebSocketRoute

    served = {route.path for router in routers for route in router.routes if isinstance(route, WebSocketRoute)}
    assert set(paths(service.asyncapi).values()) == served
    assert json.loads(commands.run_here("asyncapi").stdout) == service.asyncapi


def test_every_http_endpoint_is_described(openapi: dict[tuple[str, str], bool], routers: list["APIRouter"]) -> None:
    from fastapi.routing import APIRoute

    described = [
        route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.include_in_schema
    ]
    for route in described:
        path = re.sub(r"{(\w+):\w+}", r"{\1}", route.path)
        assert {(method.lower(), path) for method in route.methods or ()} <= openapi.keys()


async def test_no_websocket_endpoint_that_needs_a_token_lets_anybody_in_without(service: Service) -> None:
    operations = service.asyncapi["operations"]
    for name, path in paths(service.asyncapi).items():
        if operations[f"{name}.receive"]["security"]:
            refusal = await refused(service.ws, address(path))
            assert refusal.status in {401, 403}, path


async def test_no_http_endpoint_that_needs_a_token_answers_without(
    openapi: dict[tuple[str, str], bool], http: httpx.AsyncClient
) -> None:
    for (method, path), needs_token in openapi.items():
        if needs_token:
            answer = await http.request(method, address(path))
            assert answer.status_code in {401, 403}, f"{method} {path}"
            assert answer.json()["type"] == "error"
