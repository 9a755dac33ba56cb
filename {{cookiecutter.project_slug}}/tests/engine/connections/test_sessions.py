"""A connection holds no database session: many sockets share a small pool."""

import asyncio
from typing import Any

import psycopg
import pytest

from tests.engine.kit.client import Client
from tests.engine.kit.commands import SECRET_KEY, Commands
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.running import Service
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

SOCKETS, POOL, LISTENER = 300, 2, 1
ACTIVITY = """
    select state, coalesce(extract(epoch from now() - xact_start), 0)::float from pg_stat_activity
    where datname = %s and backend_type = 'client backend'
"""


@pytest.fixture
def service(start_service: StartService) -> Service:
    """A service with a pool of two."""
    return start_service(DATABASE_POOL_SIZE=str(POOL), DATABASE_POOL_TIMEOUT="30")


async def test_three_hundred_sockets_live_on_a_pool_of_two(service: Service, connect: Connect) -> None:
    clients = await asyncio.gather(
        *(connect(service, f"/ws/rooms/{user % 100}", user=user, after=0) for user in range(SOCKETS))
    )
    await asyncio.gather(*(client.receive_until("caught_up") for client in clients))

    with psycopg.connect(service.database.url.replace(service.database.name, "postgres"), autocommit=True) as spy:

        def activity() -> list[tuple[Any, ...]]:
            return spy.execute(ACTIVITY, [service.database.name]).fetchall()

        def none_in_transaction() -> bool:
            seen = activity()
            assert len(seen) <= POOL + LISTENER
            return all(state == "idle" for state, _ in seen)

        await eventually(none_in_transaction, "with 300 open sockets no connection is in a transaction", within=2)

        async def write(client: Client) -> dict[str, Any]:
            await client.send({"type": "new_entry", "body": "me too"})
            return (await client.receive_until("entry_created", 30))[-1]

        writing = asyncio.gather(*map(write, clients))
        most = 0
        while not writing.done():
            seen = activity()
            most = max(most, len(seen))
            assert all(age < 2 for _, age in seen)
            await asyncio.sleep(0.01)
        answers = await writing
        assert most <= POOL + LISTENER
        assert len({answer["entry_id"] for answer in answers}) == SOCKETS
        await eventually(none_in_transaction, "afterwards no connection is in a transaction", within=2)


async def test_writers_that_vanish_leave_no_session_and_no_torn_transaction_behind(
    service: Service, connect: Connect, room: int
) -> None:
    """Each leaves with entries still to be stored, at a random moment of one of them."""

    async def vanish(user: int) -> None:
        client = await connect(service, f"/ws/rooms/{room}", user=user)
        for number in range(20):
            await client.send({"type": "new_entry", "body": str(number)})
        await client.receive_until("entry_created")
        client.websocket.transport.abort()

    for user in range(0, 60, 12):
        await asyncio.gather(*(vanish(user + number) for number in range(12)))
    witness = await connect(service, f"/ws/rooms/{room}", user=1000)
    last = (await enter(witness, "still here"))["seq"]
    numbers = service.database.rows("select seq from entries where room_id = %s order by seq", room)
    assert len(numbers) >= last
    assert numbers == [(number,) for number in range(1, len(numbers) + 1)]
    assert [line for line in service.log_lines() if line["level"] not in {"debug", "info"}] == []


async def test_a_pool_that_stays_busy_is_told_to_the_writer(strict: Service, connect: Connect, room: int) -> None:
    """Somebody else holds the tables: the pool of one is taken, who needs it is told so, nobody is cut."""
    path = f"/ws/rooms/{room}"
    first, second = [await connect(strict, path, user=user) for user in (1, 2)]
    await enter(first, "before")
    await second.receive()
    with psycopg.connect(strict.database.url) as holder:
        holder.execute("lock table entries, streams in access exclusive mode")
        await first.send({"type": "new_entry", "body": "waits", "client_id": "a"})
        error = await enter(second, "in vain", client_id="b")
        assert (error["code"], error["client_id"]) == ("unavailable", "b")
        await second.lives()
        holder.rollback()
    await first.send({"type": "new_entry", "body": "waits", "client_id": "a"})
    await first.receive_until("entry_created")
    await second.send({"type": "new_entry", "body": "now", "client_id": "b"})
    await second.receive_until("entry_created")
    stored = strict.database.rows("select body from entries where room_id = %s order by seq", room)
    assert stored == [("before",), ("waits",), ("now",)]


async def test_the_options_of_the_database_url_hold_for_every_connection(
    start_service: StartService, postgres: Address, connect: Connect, commands: Commands
) -> None:
    """Here a schema: what migrates and what serves must look at the same one."""
    empty = postgres.create_database(migrated=False)
    empty.execute("create schema elsewhere")
    database = Database(f"{empty.url}&options=-csearch_path%3Delsewhere", empty.name, empty.application)
    migrated = await asyncio.to_thread(commands.run, "migrate", DATABASE_URL=database.url, SECRET_KEY=SECRET_KEY)
    assert migrated.returncode == 0, migrated.stderr
    client = await connect(start_service(database=database), "/ws/rooms/1", user=1)
    await enter(client, "hello")
    assert empty.value("select count(*) from elsewhere.entries") == 1
