"""A client that reads too slowly is let go; it delays nobody, and misses nothing when it returns."""

import asyncio

import pytest

from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.raw import RawClient
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

OUTBOX, SEND_TIMEOUT = 65_536, 3
# More than the kernel buffers of a connection take: 16 kB each.
ENTRIES, BODY = 500, "😀" * 4000


@pytest.fixture
def service(shared_service: StartService) -> Service:
    """A service with small outboxes."""
    return shared_service(MAX_OUTBOX_BYTES=str(OUTBOX), SEND_TIMEOUT=str(SEND_TIMEOUT))


async def flood(service: Service, connect: Connect, room: int) -> None:
    """Have more stored than any stalled reader's buffers hold; one that reads gets all of it in order."""
    writer = await connect(service, f"/ws/rooms/{room}", user=1)
    reader = await connect(service, f"/ws/rooms/{room}", user=2)
    for _ in range(ENTRIES):
        await writer.send({"type": "new_entry", "body": BODY})
    assert len(await writer.receive_many(ENTRIES, 30)) == ENTRIES
    assert [entry["seq"] for entry in await reader.receive_many(ENTRIES, 10)] == list(range(1, ENTRIES + 1))


async def test_a_stalled_reader_is_freed_and_delays_nobody(service: Service, connect: Connect, room: int) -> None:
    await eventually(lambda: service.open_sockets() == 0, "the service is empty")
    async with RawClient.connected(service.port, f"/ws/rooms/{room}", token(3), receive_buffer=4096):
        await flood(service, connect, room)
        took = await eventually(lambda: service.open_sockets() == 2, "the stalled reader's socket is closed")
        assert took < SEND_TIMEOUT + 5
    again = await connect(service, f"/ws/rooms/{room}", user=3, after=ENTRIES - 3)
    missed = await again.receive_until("caught_up")
    assert [message["seq"] for message in missed] == [ENTRIES - 2, ENTRIES - 1, ENTRIES, ENTRIES]


async def test_a_slow_reader_that_wakes_up_is_told_why_it_is_let_go(
    shared_service: StartService, connect: Connect, room: int
) -> None:
    service = shared_service(MAX_OUTBOX_BYTES=str(OUTBOX), SEND_TIMEOUT="20")
    async with (
        RawClient.connected(service.port, f"/ws/rooms/{room}", token(3), receive_buffer=4096) as slow,
        http_client(service.http) as http,
    ):

        async def let_go() -> str:
            lines = (await http.get("/metrics")).text.splitlines()
            return next(line for line in lines if line.startswith("websocket_slow_consumers_total"))

        before = await let_go()

        async def one_more_is_let_go() -> bool:
            return await let_go() != before

        flooding = asyncio.create_task(flood(service, connect, room))
        await eventually(one_more_is_let_go, "the slow reader is let go", within=30)
        assert await slow.close_code() == 1013
        await flooding
