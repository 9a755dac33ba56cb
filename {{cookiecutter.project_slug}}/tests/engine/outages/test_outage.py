"""The database goes and comes back: sockets stay, writers are told, everything committed is delivered."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.kit.client import Client
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Cluster
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter


def entries_of(room: int) -> str:
    return f"/ws/rooms/{room}"


@pytest.fixture(scope="module")
def cluster(application_module: str) -> Iterator[Cluster]:
    """A PostgreSQL that these tests may stop."""
    cluster = Cluster(application_module)
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="module")
def outlasting(cluster: Cluster) -> Iterator[Service]:
    """A service whose database comes and goes."""
    service = Service(cluster.address.create_database(), {"DATABASE_POOL_TIMEOUT": "1"})
    yield service
    service.stop()


async def test_a_service_starts_without_its_database_and_recovers_by_itself(cluster: Cluster, connect: Connect) -> None:
    database = cluster.address.create_database()
    cluster.stop()
    service = Service(database, ready=False)
    try:
        async with http_client(service.http) as http:
            assert (await http.get("/healthz")).status_code == 200
            unready = await http.get("/readyz")
            assert unready.status_code == 503
            assert "database" in unready.text
            client, listener = await asyncio.gather(*(connect(service, entries_of(1), user=user) for user in (1, 2)))
            assert (await enter(client, "too early"))["code"] == "unavailable"
            cluster.start()

            async def ready() -> bool:
                return (await http.get("/readyz")).status_code == 200

            await eventually(ready, "ready again", within=10)
            assert (await enter(client, "now"))["seq"] == 1
            assert (await listener.receive())["body"] == "now"
    finally:
        service.stop()


async def test_while_the_database_is_away_writers_are_told_and_nobody_is_cut(
    cluster: Cluster, outlasting: Service, connect: Connect, room: int
) -> None:
    path = entries_of(room)
    writer, listener = [await connect(outlasting, path, user=user) for user in (1, 2)]
    reader = await connect(outlasting, "/ws/letters", user=1)
    await enter(writer, "before")
    await listener.receive()
    cluster.crash()
    error = await enter(writer, "during", client_id="again")
    assert {key: error[key] for key in ("type", "code", "client_id")} == {
        "type": "error",
        "code": "unavailable",
        "client_id": "again",
    }
    assert "client_id" not in await enter(writer, "during")
    assert (await reader.ask({"type": "ack", "seq": 1}))["code"] == "unavailable"
    async with http_client(outlasting.http) as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz", timeout=3)).status_code == 503
        answer = await http.get(f"/api/rooms/{room}/entries", headers=bearer(1), timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    cluster.start()

    async def accepted() -> bool:
        answer = await enter(writer, "after", client_id="again")
        return bool(answer["type"] == "entry_created")

    await eventually(accepted, "entries are accepted again", within=10)
    assert (await listener.receive())["seq"] == 2
    await reader.lives()


async def test_what_is_committed_while_a_process_hears_nothing_is_delivered_later(
    outlasting: Service, connect: Connect, room: int
) -> None:
    """The connection that listens is broken again and again while two processes write."""
    database, path, count = outlasting.database, entries_of(room), 150
    other = Service(database)
    try:
        listeners = [await connect(where, path, user=9) for where in (outlasting, other)]
        writers = [await connect(where, path, user=8) for where in (outlasting, other)]
        writing = asyncio.gather(*(write_persistently(writer, count) for writer in writers))
        breaks = 0
        while not writing.done():
            breaks += len(database.rows(TERMINATE, database.name))
            await asyncio.sleep(0.2)
        await writing
        assert breaks >= 2
        for listener in listeners:
            heard = await listener.receive_many(2 * count, 15)
            assert [entry["seq"] for entry in heard] == list(range(1, 2 * count + 1))
        stored = database.rows("select client_id from entries where room_id = %s", room)
        assert len(stored) == len(set(stored)) == 2 * count
    finally:
        other.stop()


TERMINATE = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = %s and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


async def write_persistently(client: Client, count: int) -> None:
    """Send each entry, with one `client_id`, until it is confirmed."""
    for number in range(count):
        answer: dict[str, Any] = {}
        while answer.get("type") != "entry_created":
            await client.send({"type": "new_entry", "body": "x", "client_id": f"{id(client)}-{number}"})
            answer = {"type": "entry"}
            while answer["type"] == "entry":
                answer = await client.receive()
            assert answer["type"] == "entry_created" or answer["code"] == "unavailable", answer


async def test_who_returns_while_the_database_is_away_is_sent_what_was_missed_when_it_is_back(
    cluster: Cluster, outlasting: Service, connect: Connect, room: int
) -> None:
    writer = await connect(outlasting, entries_of(room), user=1)
    for body in ("one", "two", "three"):
        await enter(writer, body)
    await writer.close()
    await eventually(lambda: outlasting.open_sockets() == 0, "nobody follows the room here", within=5)
    cluster.crash()
    try:
        returning = await connect(outlasting, entries_of(room), user=2, after=1)
    finally:
        cluster.start()
    assert [(await returning.receive())["body"] for _ in range(2)] == ["two", "three"]
    assert await returning.receive() == {"type": "caught_up", "seq": 3}
