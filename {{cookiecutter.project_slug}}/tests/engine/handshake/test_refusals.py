"""Who is turned away at the door: always before the handshake, always with a status and a reason."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.engine.kit.client import connected, refused
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.raw import RawClient
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

NOT_NUMBERS = ["abc", "1.5", "-1", "%20", "1e3", "0x10", str(2**63), "9" * 400, "1%00", "%D9%A7"]


async def admitted(service: Service, user: int) -> bool:
    """Whether `user` may connect just now."""
    try:
        async with connected(service.ws, "/ws/letters", user=user) as client:
            await client.lives()
    except InvalidStatus:
        return False
    return True


@pytest.mark.parametrize("path", ["/ws", "/ws/", "/ws/nothing", "/ws/echo/more", "/nothing", "/ws/rooms/"])
async def test_an_unknown_path_is_not_found(service: Service, path: str) -> None:
    refusal = await refused(service.ws, path, user=1)
    assert refusal.status == 404
    assert refusal.problem["type"] == "error"
    assert refusal.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("value", NOT_NUMBERS)
async def test_a_room_that_is_no_number_is_refused(service: Service, value: str) -> None:
    refusal = await refused(service.ws, f"/ws/rooms/{value}", user=1)
    assert refusal.status == 422
    assert "room_id" in refusal.problem["message"]


@pytest.mark.parametrize("after", ["abc", "-1", "1.5", "", str(2**63)])
@pytest.mark.parametrize("path", ["/ws/rooms/1", "/ws/letters"])
async def test_a_position_that_is_no_number_is_refused(service: Service, path: str, after: str) -> None:
    refusal = await refused(service.ws, path, user=1, after=after)
    assert refusal.status == 422
    assert "after" in refusal.problem["message"]


async def test_the_largest_number_is_a_room_like_any_other(service: Service, connect: Connect, user: int) -> None:
    for number in (0, 2**63 - 1):
        client = await connect(service, f"/ws/rooms/{number}", user=user)
        assert (await enter(client, "at the edge"))["type"] == "entry_created"


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/ws/letters", {}),
        ("/ws/letters", {"token": "wrong"}),
        ("/ws/rooms/x", {"user": 1}),
        ("/ws/nothing", {}),
        ("/ws/letters", {"user": 1, "origin": "https://elsewhere.example"}),
    ],
)
async def test_every_refusal_says_why_in_one_form(service: Service, path: str, options: dict[str, Any]) -> None:
    refusal = await refused(service.ws, path, **options)
    assert set(refusal.problem) == {"type", "code", "message", "close_code"}
    assert refusal.problem["type"] == "error"
    assert all(refusal.problem.values())
    assert refusal.headers["content-type"].startswith("application/json")


async def test_a_refusal_harms_no_open_connection(service: Service, connect: Connect, user: int) -> None:
    client = await connect(service, "/ws/letters", user=user)
    await asyncio.gather(*(refused(service.ws, "/ws/letters") for _ in range(20)))
    await client.lives()


async def test_beyond_the_capacity_of_a_process_one_is_told_to_come_back(
    strict: Service, connect: Connect, number: Callable[[], int]
) -> None:
    await eventually(lambda: strict.open_sockets() == 0, "the service is empty")
    clients = [await connect(strict, "/ws/letters", user=number()) for _ in range(8)]
    refusal = await refused(strict.ws, "/ws/letters", user=number())
    assert refusal.reason == (503, "at_capacity", 1013)
    assert int(refusal.headers["retry-after"]) >= 0
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await asyncio.to_thread(strict.get, path)).status_code == 200
    for client in clients:
        await client.lives()
    await clients.pop().close()
    await eventually(lambda: admitted(strict, number()), "a place is free again")


async def test_a_ticket_is_not_used_up_where_there_is_no_room(
    strict: Service, connect: Connect, number: Callable[[], int]
) -> None:
    await eventually(lambda: strict.open_sockets() == 0, "the service is empty")
    async with http_client(strict.http) as http:
        ticket = (await http.post("/api/tickets", headers=bearer(number()))).json()["ticket"]
    clients = [await connect(strict, "/ws/letters", user=number()) for _ in range(8)]
    refusal = await refused(strict.ws, "/ws/letters", ticket=ticket)
    assert refusal.reason == (503, "at_capacity", 1013)
    await clients.pop().close()
    await eventually(lambda: admitted(strict, number()), "a place is free again")
    await eventually(lambda: strict.open_sockets() == 7, "the visitor has gone")
    await (await connect(strict, "/ws/letters", ticket=ticket)).lives()


async def test_beyond_the_connections_of_one_user_only_that_user_is_refused(
    strict: Service, connect: Connect, number: Callable[[], int]
) -> None:
    user = number()
    clients = [await connect(strict, "/ws/letters", user=user) for _ in range(2)]
    refusal = await refused(strict.ws, "/ws/rooms/1", user=user)
    assert refusal.reason == (429, "too_many_connections", 1013)
    clients.append(await connect(strict, "/ws/letters", user=number()))
    for client in clients:
        await client.lives()


async def test_a_user_who_leaves_may_come_back(strict: Service, connect: Connect, user: int) -> None:
    for client in [await connect(strict, "/ws/letters", user=user) for _ in range(2)]:
        await client.close()
        await eventually(lambda: admitted(strict, user), "the place is free again")


async def test_refused_handshakes_take_no_place(strict: Service, connect: Connect, user: int) -> None:
    for _ in range(10):
        await refused(strict.ws, "/ws/rooms/x", user=user)
        await refused(strict.ws, "/ws/letters", user=user, origin="https://elsewhere.example")
        await refused(strict.ws, "/ws/letters", token="wrong")
    for client in [await connect(strict, "/ws/letters", user=user) for _ in range(2)]:
        await client.lives()


async def test_outside_development_the_demo_endpoints_do_not_exist(strict: Service) -> None:
    for path in ("/ws/echo", "/ws/json"):
        assert (await refused(strict.ws, path)).status == 404
    assert (await asyncio.to_thread(strict.get, "/")).status_code == 404


async def test_a_client_that_does_not_wait_for_its_handshake_is_no_refusal_and_no_bug(
    shared_service: StartService, connect: Connect, user: int
) -> None:
    service = shared_service(MAX_CONNECTIONS_PER_USER="100")
    for _ in range(10):
        async with RawClient.unshaken(service.port) as client:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    await client.shake_hands(service.port, "/ws/letters", token(user))
    await (await connect(service, "/ws/letters", user=user)).lives()
    await eventually(lambda: service.open_sockets() == 1, "the others are gone")
    assert [line for line in service.log_lines() if line["level"] not in {"debug", "info"}] == []
    assert 'reason="draining"' not in (await asyncio.to_thread(service.get, "/metrics")).text
