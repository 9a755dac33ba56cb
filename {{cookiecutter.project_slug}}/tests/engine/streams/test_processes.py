"""Events reach every subscriber, whichever process and machine it is connected to."""

import asyncio

import httpx
import pytest

from tests.engine.kit.commands import SECRET_KEY, Commands
from tests.engine.kit.fixture_types import Broker, Connect, StartService
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.rooms import enter


@pytest.fixture
def service(shared_service: StartService, broker: Broker) -> Service:
    """A process, with each of the brokers."""
    return shared_service(**broker)


@pytest.fixture
def twin(service: Service, shared_service: StartService, broker: Broker) -> Service:
    """A second process on the same database and broker."""
    return shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100", **broker)


async def test_an_entry_reaches_subscribers_of_another_process(
    service: Service, twin: Service, connect: Connect, room: int, user: int
) -> None:
    sender = await connect(service, f"/ws/rooms/{room}", user=user)
    here = await connect(service, f"/ws/rooms/{room}", user=user)
    there = await connect(twin, f"/ws/rooms/{room}", user=user)
    answer = await enter(sender, "across")
    entry = await there.receive()
    assert entry["entry_id"] == answer["entry_id"]
    assert await here.receive() == entry


async def test_a_letter_reaches_its_user_on_every_process(
    service: Service, twin: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    clients = [await connect(where, "/ws/letters", user=user) for where in (service, twin)]
    body = {"user_id": user, "data": {"n": 1}}
    answer = await http.post("/api/letters", json=body, headers=bearer(1, scope="letters:write"))
    assert answer.status_code == 201
    first, second = [await client.receive() for client in clients]
    assert first == second


async def test_numbers_have_no_gaps_when_two_processes_write_at_once(
    service: Service, twin: Service, connect: Connect, room: int, user: int
) -> None:
    listeners = [await connect(where, f"/ws/rooms/{room}", user=user) for where in (service, twin)]
    writers = [await connect(where, f"/ws/rooms/{room}", user=user) for where in (service, twin)]
    for _ in range(50):
        for writer in writers:
            await writer.send({"type": "new_entry", "body": "at once"})
    for listener in listeners:
        assert [entry["seq"] for entry in await listener.receive_many(100)] == list(range(1, 101))


async def test_an_entry_of_the_greatest_size_crosses_processes(
    service: Service, twin: Service, connect: Connect, room: int, user: int
) -> None:
    sender = await connect(service, f"/ws/rooms/{room}", user=user)
    there = await connect(twin, f"/ws/rooms/{room}", user=user)
    for body in ("😀" * 4000, '"\\' * 2000, "\u2028" * 4000, "\x01" * 4000):
        await enter(sender, body)
        assert (await there.receive())["body"] == body


async def test_all_workers_of_one_service_share_their_events(
    shared_service: StartService, connect: Connect, room: int
) -> None:
    service = shared_service(WEB_CONCURRENCY="2")
    listeners = await asyncio.gather(*(connect(service, f"/ws/rooms/{room}", user=user) for user in range(1, 21)))
    sender = await connect(service, f"/ws/rooms/{room}", user=100)
    for body in ("first", "second"):
        await enter(sender, body)
    for listener in listeners:
        assert [entry["body"] for entry in await listener.receive_many(2)] == ["first", "second"]


async def test_services_that_share_a_valkey_do_not_hear_each_other(
    shared_service: StartService, valkey: str, connect: Connect, room: int
) -> None:
    """Publish and subscribe go through all of a Valkey's databases."""
    path = f"/ws/rooms/{room}"
    ours, theirs = shared_service(VALKEY_URL=valkey), shared_service(VALKEY_URL=valkey, DRAIN_SECONDS="1")
    stranger = await connect(theirs, path, user=1)
    writer, listener = [await connect(ours, path, user=user) for user in (1, 2)]
    await enter(stranger, "theirs")
    await enter(writer, "ours")
    assert (await listener.receive())["body"] == "ours"


async def gaps(service: Service) -> str:
    lines = (await asyncio.to_thread(service.get, "/metrics")).text.splitlines()
    return next(line for line in lines if line.startswith("hub_gaps_total"))


async def test_services_with_tables_of_their_own_in_one_database_do_not_hear_each_other(
    start_service: StartService, postgres: Address, commands: Commands, broker: Broker, connect: Connect, room: int
) -> None:
    """Nor do their streams share a count; NOTIFY goes through the whole database."""
    shared, path = postgres.create_database(migrated=False), f"/ws/rooms/{room}"
    services = []
    for schema in ("ours", "theirs"):
        shared.execute(f"create schema {schema}")
        database = Database(f"{shared.url}&options=-csearch_path%3D{schema}", shared.name, shared.application)
        migrated = await asyncio.to_thread(commands.run, "migrate", DATABASE_URL=database.url, SECRET_KEY=SECRET_KEY)
        assert migrated.returncode == 0, migrated.stderr
        services.append(start_service(database=database, **broker))
    ours, theirs = services
    stranger = await connect(theirs, path, user=1)
    writer, listener = [await connect(ours, path, user=user) for user in (1, 2)]
    assert (await enter(stranger, "theirs"))["seq"] == 1
    await stranger.lives()
    before = await gaps(theirs)
    assert (await enter(writer, "ours"))["seq"] == 1
    assert (await listener.receive())["body"] == "ours"
    await stranger.lives()
    assert await gaps(theirs) == before
