"""On any ASGI server: the same messages, codes and limits; what is missing are protocol pings, drain and hard cuts."""

import asyncio

import pytest

from tests.engine.kit.client import refused
from tests.engine.kit.event_source import following
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.raw import RawClient
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

OUTBOX, SEND_TIMEOUT = 262_144, 1


@pytest.fixture
def plain(shared_service: StartService) -> Service:
    """The application on uvicorn as it is."""
    return shared_service(
        module="tests.engine.application.plain_server",
        MAX_OUTBOX_BYTES=str(OUTBOX),
        SEND_TIMEOUT=str(SEND_TIMEOUT),
        MAX_MESSAGE_BYTES="40000",
    )


async def test_the_demo_endpoints_answer(plain: Service, connect: Connect) -> None:
    echo, json = await connect(plain, "/ws/echo"), await connect(plain, "/ws/json")
    await echo.send_raw("hi")
    await echo.send_raw(b"\0\1")
    assert [await echo.receive_raw(), await echo.receive_raw()] == ["Echo: hi", b"\0\1"]
    assert await json.ask({"a": 1}) == {"received": {"a": 1}, "status": "ok"}


async def test_entries_reach_the_others_and_history_those_who_return(
    plain: Service, connect: Connect, room: int
) -> None:
    path = f"/ws/rooms/{room}"
    writer, reader = [await connect(plain, path, user=user) for user in (1, 2)]
    await writer.lives()
    assert [(await enter(writer, str(number)))["seq"] for number in range(3)] == [1, 2, 3]
    assert [entry["body"] for entry in await reader.receive_many(3)] == ["0", "1", "2"]
    late = await connect(plain, path, user=3, after=1)
    assert [message["seq"] for message in await late.receive_until("caught_up")] == [2, 3, 3]


async def test_a_stream_is_read_by_server_sent_events(plain: Service, connect: Connect, room: int, user: int) -> None:
    writer = await connect(plain, f"/ws/rooms/{room}", user=user)
    await enter(writer, "missed")
    async with following(plain.http, f"rooms/{room}", user=user, after=0) as source:
        assert [event.event for event in await source.receive_many(2)] == ["entry", "caught_up"]
        await enter(writer, "live")
        assert (await source.receive()).id == "2"
        async with http_client(plain.http) as http:
            scope = bearer(1, scope="connections:write")
            assert (await http.post(f"/api/users/{user}/disconnect", headers=scope)).status_code == 204
        (last,) = await source.rest()
        assert (last.event, last.data["code"]) == ("error", "invalid_token")


async def test_refusals_and_closes_have_their_codes(plain: Service, connect: Connect, user: int) -> None:
    assert (await refused(plain.ws, "/ws/letters")).reason == (401, "missing_token", 1008)
    assert (await refused(plain.ws, "/ws/rooms/x", user=user)).reason[0] == 422
    binary, bad, expiring = [await connect(plain, "/ws/letters", token=token(user, ttl=ttl)) for ttl in (60, 60, 4)]
    await binary.send_raw(b"{}")
    assert (await binary.closed())[0] == 1003
    for _ in range(10):
        await bad.send_raw("{")
    ending = await bad.ending()
    assert {message["code"] for message in ending.messages} == {"invalid_json"}
    assert (len(ending.messages), ending.code) == (10, 1008)
    assert (await expiring.closed())[0] == 1008


async def test_a_client_that_answers_no_ping_is_closed_with_4408(
    shared_service: StartService, connect: Connect, user: int
) -> None:
    beating = shared_service(
        module="tests.engine.application.plain_server", HEARTBEAT_INTERVAL="1", HEARTBEAT_TIMEOUT="1"
    )
    client = await connect(beating, "/ws/letters", user=user)
    ending = await client.ending(20)
    assert (ending.messages, ending.code) == ([{"type": "ping"}], 4408)


async def test_a_stalled_reader_is_let_go_and_delays_nobody(plain: Service, connect: Connect, room: int) -> None:
    """Of its socket only the server can dispose."""
    path = f"/ws/rooms/{room}"
    writer, reader = [await connect(plain, path, user=user) for user in (1, 2)]

    async def open_connections() -> float:
        answer = await asyncio.to_thread(plain.get, "/metrics")
        return float(next(line.split()[1] for line in answer.text.splitlines() if line.startswith("websocket_conn")))

    async with RawClient.connected(plain.port, path, token(3), receive_buffer=4096):
        for seq in range(1, 301):
            await writer.ask({"type": "new_entry", "body": "😀" * 4000})
            assert (await reader.receive())["seq"] == seq

        async def freed() -> bool:
            return await open_connections() == 2

        await eventually(freed, "its connection is gone")
