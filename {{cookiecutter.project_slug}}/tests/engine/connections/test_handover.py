"""A connection's life begins when all that checked its handshake has returned, and nobody notices."""

import asyncio

import pytest
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.engine.kit.client import refused
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.waiting import eventually


@pytest.fixture(params=["tests.engine.application", "tests.engine.application.plain_server"], ids=["ours", "any other"])
def service(request: pytest.FixtureRequest, shared_service: StartService) -> Service:
    """On our server, and on one that knows nothing of links."""
    return shared_service(module=request.param)


def said(service: Service, text: str) -> int:
    return service.log().count(text)


# Dependencies of an endpoint


async def test_what_a_dependency_lends_is_given_back_when_the_connection_ends(
    service: Service, connect: Connect
) -> None:
    before = said(service, "it was given back")
    client = await connect(service, "/ws/borrower")
    for _ in range(2):
        await client.send_raw("what is it?")
        assert await client.receive_raw() == "lent, hello", "a context variable of the dependency counts, too"
        assert said(service, "it was given back") == before
    await client.close()
    await eventually(lambda: said(service, "it was given back") == before + 1, "it is given back")


async def test_a_dependency_hears_of_the_problem_that_refuses_the_handshake(service: Service) -> None:
    heard, given = said(service, "the lender has heard of it"), said(service, "it was given back")
    refusal = await refused(service.ws, "/ws/refused-borrower")
    assert (refusal.status, refusal.problem["code"]) == (409, "no_use")
    await eventually(lambda: said(service, "it was given back") == given + 1, "it is given back")
    assert said(service, "the lender has heard of it") == heard + 1


# What is served beside the engine


async def test_a_route_of_somebody_elses_is_served_as_by_uvicorn(service: Service) -> None:
    seen = said(service, "the foreign endpoint has seen the end")
    async with open_websocket(
        f"{service.ws}/foreign/echo", subprotocols=[Subprotocol("v1"), Subprotocol("v2")], proxy=None
    ) as websocket:
        assert websocket.subprotocol == "v2"
        assert websocket.response is not None
        assert websocket.response.headers["x-foreign"] == "yes"
        messages: list[str | bytes] = ["text", b"bytes", "", "x" * 60_000]
        for message in messages:
            await websocket.send(message)
            assert await websocket.recv() == message
        await websocket.ping()
        many = [str(number) for number in range(1000)]
        sending = asyncio.create_task(_send(websocket, many))
        assert [await websocket.recv() for _ in many] == many
        await sending
    await eventually(lambda: said(service, "the foreign endpoint has seen the end") == seen + 1, "it is told")


async def _send(websocket: object, messages: list[str]) -> None:
    for message in messages:
        await websocket.send(message)  # type: ignore[attr-defined]


async def test_it_may_close(service: Service) -> None:
    seen = said(service, "the foreign endpoint has seen the end")
    async with open_websocket(f"{service.ws}/foreign/echo", proxy=None) as websocket:
        await websocket.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you like")
    await eventually(lambda: said(service, "the foreign endpoint has seen the end") == seen + 1, "it is told")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("close", 403), ("response", 418), ("lists", 409), ("exception", 403), ("bug", 500), ("nothing", 500)],
)
async def test_it_may_refuse(service: Service, kind: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        async with open_websocket(f"{service.ws}/foreign/refusal/{kind}", proxy=None):
            pass
    assert refusal.value.response.status_code == status
    if kind == "lists":
        assert refusal.value.response.headers["x-a"] == "b"
        await eventually(lambda: said(service, "the foreign endpoint is told of its refusal"), "it is told")
    if kind in {"response", "lists"}:
        assert refusal.value.response.body == b"not you"


async def test_a_bug_of_theirs_ends_their_connection_and_is_logged(shared_service: StartService) -> None:
    service = shared_service()
    before = said(service, "a bug of theirs")
    async with open_websocket(f"{service.ws}/foreign/echo", proxy=None) as websocket:
        await websocket.send("bug")
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
    await eventually(lambda: said(service, "a bug of theirs") > before, "it is logged")
