"""Whoever is silent for an interval is asked, whoever does not answer in time is cut; nobody else is."""

import asyncio
import json
import sys
import time
from collections.abc import Callable

import pytest

from tests.engine.kit.client import Client
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.raw import PING, PONG, RawClient
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

INTERVAL, TIMEOUT = 1, 1
SLACK = 5
AUTHENTICATED = ["/ws/letters", "/ws/rooms/1"]


@pytest.fixture
def beating(shared_service: StartService) -> Service:
    """A service whose heart beats fast."""
    return shared_service(
        HEARTBEAT_INTERVAL=str(INTERVAL), HEARTBEAT_TIMEOUT=str(TIMEOUT), MAX_OUTBOX_BYTES="100000000"
    )


async def test_a_silent_client_is_asked_and_then_closed_with_4408(
    beating: Service, connect: Connect, user: int
) -> None:
    """Though the client library answers protocol pings by itself: a page that hangs would still look alive."""

    async def fall_silent(path: str) -> None:
        started = time.monotonic()
        client = await connect(beating, path, user=user)
        assert await client.receive() == {"type": "ping"}
        assert time.monotonic() - started > 0.8 * INTERVAL
        code, _ = await client.closed(TIMEOUT + SLACK)
        assert code == 4408
        assert 0.8 * (INTERVAL + TIMEOUT) < time.monotonic() - started < INTERVAL + TIMEOUT + SLACK

    await asyncio.gather(*map(fall_silent, AUTHENTICATED))


async def test_a_client_that_answers_or_speaks_stays(
    beating: Service, connect: Connect, number: Callable[[], int], user: int
) -> None:
    by_pong, by_ping, by_entry, by_nonsense = [
        await connect(beating, f"/ws/rooms/{number()}", user=user) for _ in range(4)
    ]
    await asyncio.gather(
        answer_pings(by_pong, 3),
        speak(by_ping, {"type": "ping"}, "pong"),
        speak(by_entry, {"type": "new_entry", "body": "alive"}, "entry_created"),
        speak(by_nonsense, {"type": "no_such"}, "error"),
    )


async def answer_pings(client: Client, pings: int) -> None:
    for _ in range(pings):
        assert await client.receive(INTERVAL + SLACK) == {"type": "ping"}
        await client.send({"type": "pong"})
    await client.lives()


async def speak(client: Client, message: object, answer: str) -> None:
    """Say something often enough never to be asked, for longer than a silent client would be kept."""
    for _ in range(8):
        assert (await client.ask(message))["type"] == answer
        await asyncio.sleep((INTERVAL + TIMEOUT + 0.5) / 8)
    await client.lives()


async def test_demo_endpoints_ask_by_protocol_pings_only(beating: Service, connect: Connect) -> None:
    """The client library answers these; nothing else comes for longer than a dead client is kept."""
    clients = [await connect(beating, path) for path in ("/ws/echo", "/ws/json")]
    await asyncio.gather(*(hears_nothing(client, INTERVAL + TIMEOUT + 2) for client in clients))
    for client in clients:
        await client.send_raw("1")
        assert await client.receive_raw()


async def hears_nothing(client: Client, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await client.receive_raw(seconds)


async def test_a_client_that_answers_no_protocol_ping_is_gone_in_time(beating: Service) -> None:
    await eventually(lambda: beating.open_sockets() == 0, "the service is empty")
    async with (
        RawClient.connected(beating.port, "/ws/echo"),
        RawClient.connected(beating.port, "/ws/letters", token(1)),
    ):
        assert beating.open_sockets() == 2
        took = await eventually(lambda: beating.open_sockets() == 0, "the dead clients' sockets are closed")
    assert took < INTERVAL + TIMEOUT + SLACK


async def test_a_client_that_stops_reading_is_gone_in_time(beating: Service, connect: Connect, room: int) -> None:
    """Its buffers are full, so that not even a close frame can be flushed to it."""
    await eventually(lambda: beating.open_sockets() == 0, "the service is empty")
    path = f"/ws/rooms/{room}"
    writer = await connect(beating, path, user=1)
    async with RawClient.connected(beating.port, path, token(2), receive_buffer=4096):
        for _ in range(500):
            await writer.send({"type": "new_entry", "body": "😀" * 4000})
        assert len(await writer.receive_many(500, 20)) == 500

        async def only_the_writer_is_left() -> bool:
            await writer.send({"type": "pong"})
            return beating.open_sockets() == 1

        took = await eventually(only_the_writer_is_left, "the stalled client's socket is closed")
    assert took < INTERVAL + TIMEOUT + SLACK


@pytest.mark.skipif(sys.platform != "linux", reason="to drop packets takes Linux: run the tests there")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "written to"])
async def test_a_client_whose_packets_are_dropped_is_gone_in_time(
    beating: Service, connect: Connect, room: int, busy: bool
) -> None:
    await eventually(lambda: beating.open_sockets() == 0, "the service is empty")
    path = f"/ws/rooms/{room}"
    writer = await connect(beating, path, user=1)
    async with RawClient.connected(beating.port, path, token(2)) as unreachable:
        unreachable.drop_packets()

        async def only_the_writer_is_left() -> bool:
            await writer.send({"type": "new_entry", "body": "anybody there?"} if busy else {"type": "pong"})
            return beating.open_sockets() == 1

        took = await eventually(only_the_writer_is_left, "the unreachable client's socket is closed")
    assert INTERVAL / 2 < took < INTERVAL + TIMEOUT + SLACK


async def test_an_interval_of_zero_turns_heartbeats_off(strict: Service, connect: Connect) -> None:
    client = await connect(strict, AUTHENTICATED[0], user=1)
    async with RawClient.connected(strict.port, AUTHENTICATED[0], token(2)) as silent:
        await hears_nothing(client, 2)
        await client.lives()
        await silent.send_frame(PING)
        assert await silent.read_frame() == (PONG, b"")


async def test_without_heartbeats_whoever_does_not_read_keeps_what_is_sent(
    shared_service: StartService, connect: Connect, room: int
) -> None:
    """Nor does the kernel end the connection of its own accord (TCP_USER_TIMEOUT)."""
    service = shared_service(HEARTBEAT_INTERVAL="0", HEARTBEAT_TIMEOUT="1", MAX_OUTBOX_BYTES="100000000")
    path = f"/ws/rooms/{room}"
    writer = await connect(service, path, user=1)
    async with RawClient.connected(service.port, path, token(2), receive_buffer=4096) as reader:
        for _ in range(20):
            await enter(writer, "😀" * 4000)
        await hears_nothing(writer, 4)
        entries = [await reader.read_frame() for _ in range(20)]
    assert [json.loads(payload)["seq"] for _, payload in entries] == [*range(1, 21)]


async def test_a_timeout_longer_than_the_interval_delays_no_ping(
    shared_service: StartService, connect: Connect
) -> None:
    service = shared_service(HEARTBEAT_INTERVAL="0.5", HEARTBEAT_TIMEOUT="20")
    client = await connect(service, AUTHENTICATED[0], user=1)
    await answer_pings(client, 3)
