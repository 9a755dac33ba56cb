"""What the engine does for an endpoint whatever its author forgot."""

import asyncio
import time

import pytest

from tests.engine.kit.client import connected, refused
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
}


@pytest.fixture
def service(shared_service: StartService) -> Service:
    """A service with endpoints of a team's own, and a fast heart."""
    return shared_service(module="tests.engine.application", HEARTBEAT_INTERVAL="1", HEARTBEAT_TIMEOUT="1")


def lines_with(service: Service, text: str) -> list[str]:
    return [line for line in service.log().splitlines() if text in line]


async def test_a_bug_ends_its_connection_with_1011_and_no_other(service: Service, connect: Connect) -> None:
    witness, victim = await connect(service, "/ws/echo"), await connect(service, "/ws/bug")
    await victim.send_raw("x")
    code, reason = await victim.closed()
    assert code == 1011
    assert "ZeroDivision" not in reason
    await witness.send_raw("unharmed")
    assert await witness.receive_raw() == "Echo: unharmed"


async def test_a_bug_is_logged_once_with_the_connection_and_the_place(service: Service, connect: Connect) -> None:
    before = len(lines_with(service, "ZeroDivisionError"))
    victim = await connect(service, "/ws/bug", token=(secret := token(1)))
    await victim.send_raw("something-private")
    await victim.closed()
    await eventually(lambda: len(lines_with(service, "ZeroDivisionError")) > before, "the bug is logged")
    logged = [line for line in service.log_lines() if "ZeroDivisionError" in str(line)]
    assert len(logged) == before + 1
    assert logged[-1]["connection_id"]
    assert "faulty.py" in str(logged[-1])
    assert "something-private" not in service.log(), "a traceback shows where, not what"
    assert secret not in service.log()


async def test_a_bug_over_http_is_answered_like_any_other_problem_and_logged_once(service: Service) -> None:
    secret = token(1)
    async with http_client(service.http) as http:
        answer = await http.get("/api/bug", headers={"Authorization": f"Bearer {secret}"}, params={"ticket": secret})
    assert answer.status_code == 500
    assert answer.json() == {"type": "error", "code": "internal_error", "message": answer.json()["message"]}
    assert "ValueError" not in answer.text
    assert {name: answer.headers.get(name) for name in SAFE} == SAFE
    await eventually(lambda: lines_with(service, '"/api/bug", "status": 500'), "the request is logged")
    assert len(lines_with(service, "ValueError")) == 1
    assert secret not in service.log()


@pytest.mark.parametrize("path", ["/ws/bug-at-the-door", "/ws/problem-at-the-door", "/ws/nothing", "/ws/letters"])
async def test_a_refused_handshake_has_the_headers_of_every_other_answer(service: Service, path: str) -> None:
    refusal = await refused(service.ws, path)
    assert {name: refusal.headers.get(name) for name in SAFE} == SAFE


async def test_a_bug_is_counted(service: Service, connect: Connect) -> None:
    async with http_client(service.http) as http:

        async def bugs() -> list[str]:
            return [line for line in (await http.get("/metrics")).text.splitlines() if "/ws/bug" in line]

        before = await bugs()
        victim = await connect(service, "/ws/bug")
        await victim.send_raw("x")
        await victim.closed()
        assert await bugs() != before


async def test_a_bug_before_the_handshake_is_an_answer_by_http(service: Service) -> None:
    refusal = await refused(service.ws, "/ws/bug-at-the-door")
    assert (refusal.status, refusal.problem["type"]) == (500, "error")
    assert "no such key" not in str(refusal.problem)


async def test_an_endpoint_may_refuse_before_the_handshake(service: Service) -> None:
    refusal = await refused(service.ws, "/ws/problem-at-the-door")
    assert (refusal.status, refusal.problem["code"], refusal.problem["message"]) == (
        403,
        "not_a_member",
        "Members only.",
    )


async def test_a_client_that_answers_is_not_cut_while_its_handler_is_busy(service: Service, connect: Connect) -> None:
    """For longer than a dead client is kept; the client library answers the protocol's pings."""
    client = await connect(service, "/ws/sleep")
    await client.send_raw("4.5")
    assert await client.receive_raw() == "4.5"


async def test_a_client_that_leaves_ends_the_handler_that_is_busy_for_it(service: Service, connect: Connect) -> None:
    before = len(lines_with(service, "the sleeper has cleaned up"))
    for leave_politely in (True, False):
        client = await connect(service, "/ws/sleep")
        await client.send_raw("3600")
        await (await client.websocket.ping())
        if leave_politely:
            await client.close()
        else:
            client.websocket.transport.abort()
    took = await eventually(
        lambda: len(lines_with(service, "the sleeper has cleaned up")) == before + 2, "both handlers have cleaned up"
    )
    assert took < 2


@pytest.mark.parametrize("name", ["ticker", "waiter"])
async def test_a_handler_that_never_receives_is_ended_when_its_client_leaves(
    service: Service, connect: Connect, name: str
) -> None:
    before = len(lines_with(service, f"the {name} has cleaned up"))
    async with connected(service.ws, f"/ws/{name}") as client:
        await client.receive_raw()
    took = await eventually(
        lambda: len(lines_with(service, f"the {name} has cleaned up")) == before + 1, "the handler has cleaned up"
    )
    assert took < 2


async def test_a_session_cannot_be_held_for_the_life_of_a_connection(service: Service) -> None:
    refusal = await refused(service.ws, "/ws/hoarder")
    assert refusal.status == 500
    assert lines_with(service, "a database session is open")


async def test_a_sleeping_handler_does_not_hold_up_the_end(start_service: StartService, connect: Connect) -> None:
    service = start_service(module="tests.engine.application", DRAIN_SECONDS="1")
    clients = [await connect(service, path) for path in ("/ws/sleep", "/ws/waiter", "/ws/ticker")]
    await clients[0].send_raw("3600")
    await (await clients[0].websocket.ping())
    service.terminate()
    started = time.monotonic()
    codes = [code for code, _ in await asyncio.gather(*(client.closed() for client in clients))]
    assert codes == [1012, 1012, 1012], "also of whom an operation is busy with"
    await eventually(lambda: service.process.poll() is not None, "the process has ended", within=15)
    assert service.process.returncode == 0, service.log()
    assert time.monotonic() - started < 1 + 5
