"""What a deploy, an administrator or somebody's limit does to a service that runs: no client is cut for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from service.engine.foundation.metrics import Metrics
from service.engine.foundation.settings import Settings
from service.engine.storage.database import Database as Pool
from service.engine.storage.tables import EngineModel
from tests.engine.kit.fixture_types import Connect, Number, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

MORE_THAN_IT_TAKES_TO_PREPARE = 8
ROLE = "plain_role"
RIGHTS = f"""
    do $$ begin create role {ROLE} login; exception when duplicate_object then null; end $$;
    alter role {ROLE} connection limit -1;
    grant select, insert, update, delete on all tables in schema public to {ROLE}
"""
LEAVE_ONE_OF_A_KIND = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = %s and query not like 'LISTEN%%'
"""


def settings(database: Database) -> Settings:
    return Settings(database_url=SecretStr(database.url), database_pool_size=1)


def of_role(database: Database) -> str:
    """The address for somebody who is no superuser."""
    return database.url.replace("postgres@", f"{ROLE}@")


@pytest.fixture
def ruled(postgres: Address) -> Iterator[Database]:
    """A database in which a role has the rights of a service."""
    database = postgres.create_database()
    database.execute(RIGHTS)
    yield database
    database.execute(f"drop owned by {ROLE}")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as client:
        yield client


async def not_ready(http: httpx.AsyncClient, service: Service) -> str:
    """What `/readyz` has against the database."""
    answer = await http.get(f"{service.http}/readyz")
    return str(answer.json()["failed"].get("database", ""))


async def test_a_migration_that_changes_a_type_ends_nobodys_connection(
    start_service: StartService, connect: Connect, http: httpx.AsyncClient, room: int
) -> None:
    """Statements that were prepared before it return something else now, which PostgreSQL refuses."""
    service = start_service(DATABASE_POOL_SIZE="1")
    writer = await connect(service, f"/ws/rooms/{room}", user=1)
    history = f"{service.http}/api/rooms/{room}/entries"
    for number in range(MORE_THAN_IT_TAKES_TO_PREPARE):
        assert (await enter(writer, "x"))["seq"] == number + 1
        assert (await http.get(history, headers=bearer(1))).status_code == 200
    service.database.execute("alter table entries alter body type varchar(9000), alter author_id type text")
    service.database.execute("alter table streams alter name type varchar(900)")
    assert (await http.get(history, headers=bearer(1))).json()["last_seq"] == MORE_THAN_IT_TAKES_TO_PREPARE
    assert (await enter(writer, "x"))["seq"] == MORE_THAN_IT_TAKES_TO_PREPARE + 1
    late = await connect(service, f"/ws/rooms/{room}", user=2, after=0)
    assert len(await late.receive_until("caught_up")) == MORE_THAN_IT_TAKES_TO_PREPARE + 2


async def test_statements_that_somebody_has_forgotten_are_prepared_anew(database: Database) -> None:
    pool = Pool(settings(database), Metrics())
    for _ in range(2):
        for _ in range(MORE_THAN_IT_TAKES_TO_PREPARE):
            assert (await pool.execute(text("select 1 as one")))[0]["one"] == 1
        await pool.execute(text("discard all"))
    await pool.close()


async def test_a_version_that_comes_before_its_migration_is_not_ready(
    start_service: StartService, http: httpx.AsyncClient
) -> None:
    service = start_service()
    service.database.execute("alter table entries rename column origin to whence")
    assert "entries.origin is missing" in (told := (await not_ready(http, service)).replace('"', ""))
    assert "migrate" in told
    service.database.execute("alter table entries rename column whence to origin")
    assert await not_ready(http, service) == ""
    service.database.execute("alter table members rename to former")
    assert "members is missing" in (await not_ready(http, service)).replace('"', "")


async def test_without_a_right_nothing_is_ready_and_nobody_is_cut(
    start_service: StartService, ruled: Database, connect: Connect, http: httpx.AsyncClient, room: int
) -> None:
    """Tables belong to whoever migrates, which need not be whoever serves."""
    service = start_service(database=ruled, DATABASE_URL=of_role(ruled))
    writer = await connect(service, f"/ws/rooms/{room}", user=1)
    assert (await enter(writer, "x"))["seq"] == 1
    ruled.execute(f"revoke insert on entries from {ROLE}")
    assert (await not_ready(http, service)).replace('"', "") == "no right to INSERT on entries"
    assert (await enter(writer, "x", client_id="a"))["code"] == "unavailable"
    assert "permission denied for table entries" in service.log()
    ruled.execute(f"grant insert on entries to {ROLE}")
    assert (await enter(writer, "x", client_id="a"))["seq"] == 2
    assert await not_ready(http, service) == ""


@pytest.mark.parametrize(
    "right",
    ["update on streams", "delete on tickets", "select on revocations", "delete on presence", "select on entries"],
)
async def test_each_right_that_an_operation_takes_is_asked_for(
    start_service: StartService, ruled: Database, http: httpx.AsyncClient, right: str
) -> None:
    service = start_service(database=ruled, DATABASE_URL=of_role(ruled))
    ruled.execute(f"revoke {right} from {ROLE}")
    assert (await not_ready(http, service)).replace('"', "").lower() == f"no right to {right}"
    ruled.execute(f"grant {right} to {ROLE}")
    assert await not_ready(http, service) == ""


async def test_the_rights_that_are_asked_for_are_enough_for_all_that_a_service_does(
    start_service: StartService, ruled: Database, connect: Connect, http: httpx.AsyncClient, number: Number, user: int
) -> None:
    for model in EngineModel.registry.mappers:
        ruled.execute(f"revoke all on {model.local_table} from {ROLE}")
        if model.class_.rights:
            ruled.execute(f"grant {model.class_.rights.replace(' ', ', ')} on {model.local_table} to {ROLE}")
    service = start_service(database=ruled, DATABASE_URL=of_role(ruled))
    name = f"rooms/{number()}"
    ticket = (await http.post(f"{service.http}/api/tickets", headers=bearer(user))).json()["ticket"]
    writer = await connect(service, f"/ws/{name}", ticket=ticket)
    assert (await enter(writer, "x"))["seq"] == 1
    here = await connect(service, "/ws/streams", user=user)
    await here.send({"type": "subscribe", "stream": name, "after": 0, "presence": True})
    assert [(await here.receive())["type"] for _ in range(3)] == ["entry", "subscribed", "presence"]
    scope = bearer(1, scope="connections:write")
    assert (await http.post(f"{service.http}/api/users/{user}/disconnect", headers=scope)).status_code == 204
    service.terminate()
    assert service.wait() == 0
    assert "permission denied" not in service.log()


async def test_a_server_that_is_full_serves_those_who_are_in(
    start_service: StartService, ruled: Database, connect: Connect, http: httpx.AsyncClient, room: int
) -> None:
    """Readiness has a connection of its own; that there is none for it does not mean that a write would fail."""
    service = start_service(
        database=ruled, DATABASE_URL=of_role(ruled), DATABASE_POOL_TIMEOUT="1", DATABASE_POOL_SIZE="1"
    )
    writer = await connect(service, f"/ws/rooms/{room}", user=1)
    assert (await enter(writer, "x"))["seq"] == 1
    ruled.execute(f"alter role {ROLE} connection limit 0")
    assert (await enter(writer, "x"))["seq"] == 2
    assert await not_ready(http, service) == ""
    ruled.rows(LEAVE_ONE_OF_A_KIND, ROLE)
    assert await not_ready(http, service) == "OperationalError"
    assert (await enter(writer, "x"))["code"] == "unavailable"
    assert "too many connections" in service.log()
    ruled.execute(f"alter role {ROLE} connection limit -1")

    async def accepted() -> bool:
        return bool((await enter(writer, "x", client_id="a"))["type"] == "entry_created")

    await eventually(accepted, "entries are accepted again")


async def test_a_statement_that_takes_too_long_is_an_outage(
    start_service: StartService, database: Database, connect: Connect, room: int
) -> None:
    """Somebody holds a lock, as a careless migration does."""
    service = start_service(database=database, DATABASE_URL=f"{database.url}&options=-cstatement_timeout%3D2000")
    writer = await connect(service, f"/ws/rooms/{room}", user=1)
    assert (await enter(writer, "x"))["seq"] == 1
    holding, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        pool = Pool(settings(database), Metrics())
        async with pool.session() as session:
            await session.execute(text("lock table entries in access exclusive mode"))
            holding.set()
            await done.wait()
        await pool.close()

    holder = asyncio.create_task(hold())
    await holding.wait()
    assert (await enter(writer, "x", client_id="a"))["code"] == "unavailable"
    done.set()
    await holder
    assert (await enter(writer, "x", client_id="a"))["seq"] == 2
