"""Fifty connections that follow a hundred streams each: the broker restarts, a process is killed, all recover."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from service.engine.client import Live, Subscription, connect
from tests.engine.kit.client import connected
from tests.engine.kit.fixture_types import Number
from tests.engine.kit.postgres import Address
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.valkey import Valkey
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

CONNECTIONS, FOLLOWED, ROOMS = 50, 100, 150
"""Each follows a part of the rooms of its own, all of them each room."""
PATIENCE = 60


@pytest.fixture
def broker() -> Iterator[Valkey]:
    valkey = Valkey()
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def services(postgres: Address, broker: Valkey) -> Iterator[list[Service]]:
    """Two, of which a test may replace one by another like it."""
    database = postgres.create_database()
    running = [Service(database, {"VALKEY_URL": broker.url}) for _ in range(2)]
    yield running
    for service in running:
        service.discard()


@pytest.fixture
async def clients(services: list[Service], number: Number) -> AsyncIterator[list[Live]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(connect(services[n % 2].http, token=token(number())))
            for n in range(CONNECTIONS)
        ]


class Reader:
    """Keeps the numbers of all that comes of one stream."""

    def __init__(self, subscription: Subscription) -> None:
        self.seqs: list[int] = []
        self.task = asyncio.create_task(self._read(subscription))

    async def _read(self, subscription: Subscription) -> None:
        async for event in subscription:
            self.seqs.append(event["seq"])


async def write(service: Service, rooms: list[int]) -> None:
    """One more entry in each."""
    for room in rooms:
        async with connected(service.ws, f"/ws/rooms/{room}", user=1) as writer:
            await enter(writer, "more")


async def history_queries(service: Service) -> int:
    lines = (await asyncio.to_thread(service.get, "/metrics")).text.splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("hub_history_queries_total "))


@pytest.mark.timeout(4 * PATIENCE)
async def test_all_recover_and_ask_for_no_stream_twice(
    services: list[Service], clients: list[Live], broker: Valkey, number: Number
) -> None:
    rooms = [number() for _ in range(ROOMS)]
    readers = [
        Reader(client.subscribe(f"rooms/{rooms[(n + position) % ROOMS]}", after=0))
        for n, client in enumerate(clients)
        for position in range(FOLLOWED)
    ]

    async def all_have(entries: int) -> None:
        def told() -> bool:
            for reader in readers:
                if reader.task.done():
                    reader.task.result()
            return all(len(reader.seqs) >= entries for reader in readers)

        await eventually(told, f"everybody has {entries}", within=PATIENCE)

    await write(services[0], rooms)
    await all_have(1)

    before = [await history_queries(service) for service in services]
    broker.stop()
    await write(services[0], rooms)
    broker.start()
    await all_have(2)
    for service, asked in zip(services, before, strict=True):
        assert await history_queries(service) - asked <= ROOMS

    services[1].discard()
    await write(services[0], rooms)
    services[1] = Service(services[1].database, services[1].settings)
    await all_have(3)
    assert 0 < await history_queries(services[1]) <= ROOMS

    await write(services[1], rooms)
    await all_have(4)
    assert {tuple(reader.seqs) for reader in readers} == {(1, 2, 3, 4)}
    for reader in readers:
        reader.task.cancel()
