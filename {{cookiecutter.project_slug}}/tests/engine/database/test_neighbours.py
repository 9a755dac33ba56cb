"""Two services in one database, or on one Valkey: each has its own tables, and hears of nothing else."""

from collections.abc import Iterator

import psycopg
import pytest

from service.engine.storage.channels import NOTIFY_CHANNEL, short
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address, Database, migrate
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.rooms import POSTMASTER, enter

OPERATOR = bearer(1, scope="connections:write")


@pytest.fixture(scope="module")
def schemas(postgres: Address) -> list[Database]:
    """Two schemas of one database, and the first again: named by the address, or those that roles look into."""
    shared = postgres.create_database(migrated=False)
    for name in ("one", "other"):
        shared.execute(f"create schema {name}")
        role = f"{shared.name}_{name}"
        shared.execute(f"create role {role} login superuser; alter role {role} set search_path = {name}")
    addresses = [
        f"{shared.url}&options=-csearch_path%3Done",
        shared.url.replace("postgres@", f"{shared.name}_other@"),
        shared.url.replace("postgres@", f"{shared.name}_one@"),
    ]
    databases = [Database(url, shared.name, shared.application) for url in addresses]
    for database in databases:
        migrate(database)
    return databases


@pytest.fixture(scope="module", params=["postgres", "valkey"])
def neighbours(request: pytest.FixtureRequest, schemas: list[Database]) -> Iterator[list[Service]]:
    """A service in each schema, and another process of the first."""
    valkey = request.getfixturevalue("valkey") if request.param == "valkey" else ""
    started = [Service(database, {"VALKEY_URL": valkey}) for database in schemas]
    yield started
    for service in started:
        service.terminate()
    for service in started:
        service.stop()


async def test_nothing_crosses_and_each_ones_first_event_arrives(
    neighbours: list[Service], connect: Connect, room: int, user: int
) -> None:
    path = f"/ws/rooms/{room}"
    writers = [await connect(service, path, user=user) for service in neighbours[:2]]
    readers = [await connect(service, path, user=user) for service in neighbours]
    letters = [await connect(service, "/ws/letters", user=user) for service in neighbours]
    for writer, name in zip(writers, ("one", "other"), strict=True):
        assert (await enter(writer, name))["seq"] == 1
    assert [(await reader.receive())["body"] for reader in readers] == ["one", "other", "one"]
    async with http_client() as http:
        for service, name in zip(neighbours[:2], ("one", "other"), strict=True):
            letter = {"user_id": user, "data": {"from": name}}
            written = await http.post(f"{service.http}/api/letters", json=letter, headers=POSTMASTER)
            assert written.status_code == 201
    assert [(await reader.receive())["data"]["from"] for reader in letters] == ["one", "other", "one"]
    for writer in writers:
        assert (await enter(writer, "second"))["seq"] == 2
    assert [(await reader.receive())["seq"] for reader in readers] == [2, 2, 2]
    for client in (*writers, *readers, *letters):
        await client.lives()
    logs = "".join(service.log() for service in neighbours)
    assert "events_missing" not in logs
    assert "event_unreadable" not in logs


async def test_who_is_thrown_out_of_one_stays_in_the_other(
    neighbours: list[Service], connect: Connect, user: int
) -> None:
    clients = [await connect(service, "/ws/letters", user=user) for service in neighbours]
    async with http_client() as http:
        thrown_out = await http.post(f"{neighbours[0].http}/api/users/{user}/disconnect", headers=OPERATOR)
        assert thrown_out.status_code == 204
    assert [await clients[number].closed() for number in (0, 2)] == [(1008, "revoked")] * 2
    await clients[1].lives()
    await connect(neighbours[1], "/ws/letters", user=user)


def test_a_channel_names_the_tables_whatever_the_topic(schemas: list[Database]) -> None:
    """NOTIFY is heard in the whole database, and takes names of 63 bytes at most."""
    names = []
    for database in schemas[:2]:
        with psycopg.connect(database.url, autocommit=True) as connection:
            for topic in ("rooms/7", "letters/" + "x" * 300, "letters/€", "letters/" + "文" * 20):
                query = f"select {NOTIFY_CHANNEL.replace(':channel', '%s::text')}"
                row = connection.execute(query.encode(), [short(topic)]).fetchone()
                assert row is not None
                names.append(row[0])
    assert len(set(names)) == len(names)
    assert all(name.isascii() and len(name) < 64 for name in names)
