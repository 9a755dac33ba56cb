"""What others have met and reported, of kinds that the other files have no place for."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import valkey as valkey_client

from service.engine.delivery import postgres
from service.engine.delivery.postgres import PostgresBroker
from service.engine.foundation.metrics import Metrics
from tests.engine.kit.commands import SECRET_KEY, Commands
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.running import Service
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

FAILING = """
    create or replace function fails() returns trigger language plpgsql as
    $$ begin raise exception 'as a test wants it' using errcode = '{}'; end $$;
    create or replace trigger fails before insert on entries for each row execute function fails()
"""
OUTAGES = {
    "the disk is full": "53100",
    "memory is short": "53200",
    "too many are connected": "53300",
    "a limit of the configuration": "53400",
    "the disk fails": "58030",
    "a file has gone": "58P01",
    "somebody has cancelled it": "57014",
    "a lock is not to be had": "55P03",
    "another was first": "40001",
    "a deadlock": "40P01",
    "the server only reads": "25006",
    "no right": "42501",
    "a fault of the server": "XX000",
    "damaged data": "XX001",
}
UNHOLDABLE = {
    "too long": "22001",
    "too large": "22003",
    "not of the encoding": "22P05",
    "too long for an index": "54000",
}


@pytest.fixture(scope="module")
def failing(shared_service: StartService) -> Service:
    """A service whose table of entries has a trigger."""
    return shared_service(MAX_ENTRY_LENGTH="5000")


async def test_no_error_of_the_server_ends_a_connection(failing: Service, connect: Connect, room: int) -> None:
    writer = await connect(failing, f"/ws/rooms/{room}", user=1)
    try:
        for name, state in OUTAGES.items():
            failing.database.execute(FAILING.format(state))
            assert (await enter(writer, "x", client_id="a"))["code"] == "unavailable", name
        for name, state in UNHOLDABLE.items():
            failing.database.execute(FAILING.format(state))
            answer = await enter(writer, "x", client_id="a")
            assert answer["code"] == "invalid_message", name
            assert "as a test wants it" not in answer["message"]
    finally:
        failing.database.execute("drop trigger fails on entries")
    assert (await enter(writer, "x", client_id="a"))["seq"] == 1


async def test_a_text_that_is_too_long_for_an_index_is_not_sent_again_and_again(
    failing: Service, connect: Connect, room: int
) -> None:
    writer = await connect(failing, f"/ws/rooms/{room}", user=1)
    failing.database.execute("create index entries_by_body on entries (body)")
    try:
        answer = await enter(writer, secrets.token_hex(2400))
        assert (answer["code"], "index" in answer["message"]) == ("invalid_message", True)
        assert (await enter(writer, "short"))["seq"] == 1
    finally:
        failing.database.execute("drop index entries_by_body")


@asynccontextmanager
async def listening(database: Database, heard: list[str]) -> AsyncIterator[PostgresBroker]:
    """A broker at work in this process."""

    async def hear(topic: str, _payload: str) -> None:
        heard.append(topic)

    broker = PostgresBroker(database.url, Metrics())
    working = asyncio.create_task(broker.run(hear, lambda: None))
    try:
        yield broker
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_who_listens_follows_tables_that_are_replaced(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a restore does under a service that runs."""
    monkeypatch.setattr(postgres, "_PROBE_SECONDS", 0.1)
    notify = "select pg_notify('rooms/1@' || 'streams'::regclass::oid, '{}')"
    heard: list[str] = []
    async with listening(database, heard) as broker:
        await broker.listen(["rooms/1"])
        await asyncio.to_thread(database.rows, notify)
        await eventually(lambda: heard, "an event is heard")
        await asyncio.to_thread(
            database.execute, "alter table streams rename to old; create table streams (like old including all)"
        )

        def hears() -> bool:
            heard.clear()
            database.rows(notify)
            return bool(heard)

        async def heard_again() -> bool:
            await asyncio.to_thread(hears)
            await asyncio.sleep(0.02)
            return bool(heard)

        await eventually(heard_again, "events of the new tables are heard")


async def test_a_valkey_that_ends_idle_connections_costs_no_event(
    start_service: StartService, valkey: str, connect: Connect, room: int
) -> None:
    """As managed ones do after ten minutes."""
    service = start_service(VALKEY_URL=valkey)
    writer, reader = [await connect(service, f"/ws/rooms/{room}", user=user) for user in (1, 2)]
    with valkey_client.Valkey.from_url(valkey) as administrator:
        for turn in range(1, 4):
            assert (await enter(writer, "x"))["seq"] == turn
            assert (await reader.receive(2.5))["seq"] == turn
            administrator.client_kill_filter(_type="normal", skipme=True)
    assert "publish_failed" not in service.log()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("options=-csearch_path%3Dnowhere", "no schema has been selected"),
        ("target_session_attrs=standby", "not in hot standby mode"),
        ("replication=database", "replication"),
        ("options=-cno_such_setting%3D1", "no_such_setting"),
        ("sslmode=verify-full&sslrootcert=/nowhere&host=127.0.0.1&port=1", ""),
    ],
)
def test_an_address_that_leads_where_nothing_works_is_one_line(
    commands: Commands, database: Database, options: str, why: str
) -> None:
    refused = commands.run_here("migrate", DATABASE_URL=f"{database.url}&{options}", SECRET_KEY=SECRET_KEY)
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert why in line


def test_a_role_that_becomes_another_owns_nothing_itself(commands: Commands, postgres: Address) -> None:
    """Of credentials that are made for an hour, tables must not be."""
    empty = postgres.create_database(migrated=False)
    empty.execute("drop role if exists for_an_hour; drop role if exists for_long")
    empty.execute("create role for_long; create role for_an_hour login in role for_long")
    empty.execute("alter role for_an_hour set role = for_long; grant create, usage on schema public to for_long")
    url = empty.url.replace("postgres@", "for_an_hour@")
    migrated = commands.run_here("migrate", DATABASE_URL=url, SECRET_KEY=SECRET_KEY)
    assert (migrated.returncode, migrated.stderr) == (0, "")
    owners = empty.rows("select distinct tableowner::text from pg_tables where schemaname = 'public'")
    assert owners == [("for_long",)]
