"""Through PgBouncer in transaction mode, which everybody has who has many processes, with its defaults and a Valkey."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.settings import Settings
from service.engine.storage import connecting
from service.engine.storage.database import Database as Pool
from tests.engine.database.team import Team
from tests.engine.kit.client import Client, Message
from tests.engine.kit.commands import SECRET_KEY, Commands
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.http_client import http_client
from tests.engine.kit.pgbouncer import PgBouncer
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import POSTMASTER

pytestmark = pytest.mark.needs("pgbouncer")
WRITERS = 80
QUERY = text("select count(*) as kept from streams")
LOCKS = """
    select mode from pg_locks
    where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
"""
"""Other databases of the cluster, which `pg_locks` shows too, are other tests'."""
LEFT = text(f"""
    select name from pg_settings where source = 'session'
        and name not in ('client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings', 'application_name')
    union all select statement from pg_prepared_statements
    union all {LOCKS}
""")
"""What is in a session beyond that which PgBouncer looks after itself."""


@pytest.fixture(scope="module")
def pgbouncer(postgres: Address) -> Iterator[PgBouncer]:
    with PgBouncer(postgres.socket_directory) as started:
        yield started


@pytest.fixture(scope="module")
def pooled(postgres: Address, pgbouncer: PgBouncer, commands: Commands) -> Database:
    """A database reached through it from the first migration on."""
    database = pgbouncer.leading_to(postgres.create_database(migrated=False))
    migrated = commands.run("migrate", DATABASE_URL=database.url, SECRET_KEY=SECRET_KEY)
    assert (migrated.returncode, migrated.stderr) == (0, "")
    return database


@pytest.fixture(scope="module")
def service(pooled: Database, valkey: str) -> Iterator[Service]:
    service = Service(pooled, {"VALKEY_URL": valkey, "WEB_CONCURRENCY": "2", "DATABASE_POOL_SIZE": "10"})
    yield service
    service.stop()


@asynccontextmanager
async def pool_of(database: Database) -> AsyncIterator[Pool]:
    """One connection in this process."""
    pool = Pool(Settings(database_url=SecretStr(database.url), database_pool_size=1), Metrics())
    try:
        yield pool
    finally:
        await pool.close()


async def written(writer: Client, number: int) -> Message:
    await writer.send({"type": "new_entry", "body": "x", "client_id": f"{number}"})
    while (answer := await writer.receive())["type"] == "entry":
        pass
    return answer


async def test_writes_at_the_same_time_are_all_stored_and_delivered(
    service: Service, connect: Connect, room: int
) -> None:
    path = f"/ws/rooms/{room}"
    reader = await connect(service, path, user=0)
    writers = [await connect(service, path, user=user + 1) for user in range(WRITERS)]
    for turn in range(6):  # a statement is prepared when it comes again and again
        answers = await asyncio.gather(*(written(writer, turn) for writer in writers))
        assert {answer["type"] for answer in answers} == {"entry_created"}
    heard = await reader.receive_many(6 * WRITERS, 15)
    assert [entry["seq"] for entry in heard] == list(range(1, 6 * WRITERS + 1))
    assert service.database.value(f"select count(*) from entries where room_id = {room}") == 6 * WRITERS
    assert '"level": "error"' not in service.log()
    assert "database_unavailable" not in service.log()


async def test_everything_else_works_through_it_too(service: Service, connect: Connect, user: int) -> None:
    async with http_client(service.http) as http:
        ticket = (await http.post("/api/tickets", headers=bearer(user))).json()["ticket"]
        client = await connect(service, "/ws/letters", ticket=ticket)
        letter = {"user_id": user, "data": {"text": "€"}}
        assert (await http.post("/api/letters", json=letter, headers=POSTMASTER)).status_code == 201
        assert (await client.receive())["data"] == letter["data"]
        assert (await http.get("/readyz")).json() == {"status": "ok", "failed": {}}


async def test_nothing_is_left_in_sessions_that_others_share(pooled: Database) -> None:
    async with pool_of(pooled) as pool:
        for _ in range(10):
            await pool.execute(QUERY)
            async with pool.session() as session:
                await session.execute(QUERY)
        assert await pool.execute(LEFT) == []


def test_several_migrations_at_once_are_kept_apart(postgres: Address, pgbouncer: PgBouncer, tmp_path: Path) -> None:
    database = pgbouncer.leading_to(postgres.create_database(migrated=False))
    team = Team(tmp_path, "team_of_poolers")
    team.write("a1", None, 'op.execute("select pg_sleep(1)"); op.execute("create table slowly (id int)")')
    team.succeeds_at_once(database, 3)
    assert postgres.database(database.name).rows(LOCKS) == []


async def test_without_a_valkey_the_log_says_at_the_start_that_nothing_can_be_heard(pooled: Database) -> None:
    service = Service(pooled, {"VALKEY_URL": ""}, ready=False)
    try:
        await eventually(lambda: "listening_through_pooler" in service.log(), "it says so")
        (line,) = [line for line in service.log_lines() if line["event"] == "listening_through_pooler"]
        assert line["level"] == "error"
        assert "VALKEY_URL" in line["advice"]
    finally:
        service.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "_PATIENCE", 0.5)


@pytest.mark.usefixtures("impatient")
async def test_a_pooler_that_waits_is_not_waited_for(postgres: Address, pooled: Database) -> None:
    """It would do so for two minutes while its server is away, and everybody with it."""
    with PgBouncer(postgres.socket_directory) as other:
        async with pool_of(other.leading_to(pooled)) as pool:
            assert await pool.execute(QUERY)
            with other.frozen(), pytest.raises(Unavailable):
                await pool.execute(QUERY)
            assert await pool.execute(QUERY)


async def test_a_pooler_that_starts_anew_is_used_again(postgres: Address, pooled: Database) -> None:
    with PgBouncer(postgres.socket_directory) as other:
        async with pool_of(other.leading_to(pooled)) as pool:
            assert await pool.execute(QUERY)
            other.restart()
            with pytest.raises(Unavailable):
                await pool.execute(QUERY)
            assert await pool.execute(QUERY)
