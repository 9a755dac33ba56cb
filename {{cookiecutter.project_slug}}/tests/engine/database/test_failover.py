"""The server only reads for a while, or another takes over: no connection to it is kept, and ready means writable."""

import asyncio
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.settings import Settings
from service.engine.storage.database import Database as Pool
from tests.engine.database.standby import standby_of
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Cluster, Database
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.kit.waiting import eventually, wait_until
from tests.engine.rooms import enter

END_ALL = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


@pytest.fixture(scope="module")
def cluster(application_module: str) -> Iterator[Cluster]:
    """A PostgreSQL that these tests may set as they like."""
    cluster = Cluster(application_module)
    yield cluster
    cluster.destroy()


@pytest.fixture
def database(cluster: Cluster) -> Database:
    return cluster.address.create_database()


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    service = Service(database, {"DATABASE_POOL_SIZE": "3"})
    yield service
    service.stop()


async def read_often(http: httpx.AsyncClient, room: int) -> None:
    """Let every connection of the pool be made, or used."""
    path = f"/api/rooms/{room}/entries"

    async def works() -> bool:
        answers = await asyncio.gather(*(http.get(path, headers=bearer(1)) for _ in range(12)))
        return all(answer.status_code == 200 for answer in answers)

    await eventually(works, "what is stored is read")


async def readiness(http: httpx.AsyncClient) -> tuple[int, str]:
    answer = await http.get("/readyz", timeout=3)
    return answer.status_code, answer.json()["failed"].get("database", "")


def only_read(database: Database, *, by: str) -> None:
    """Make a server take no writes, as one does whose disk is full or whose place another has taken."""
    if by == "server":
        database.execute("alter system set default_transaction_read_only = on")
        database.execute("select pg_reload_conf()")
    else:
        database.execute(f"alter database {database.name} set default_transaction_read_only = on")
        database.execute(END_ALL)


def write_again(database: Database, *, by: str) -> None:
    """Undo that, and leave the connections that there are."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        if by == "server":
            connection.execute("alter system reset default_transaction_read_only")
            connection.execute("select pg_reload_conf()")
            wait_until(lambda: database.value("show transaction_read_only") == "off", "every process has been told")
        else:
            connection.execute(f"alter database {database.name} reset default_transaction_read_only".encode())


@pytest.mark.parametrize("by", ["server", "database"])
async def test_the_first_write_after_a_time_of_reading_only_works(
    service: Service, connect: Connect, room: int, by: str
) -> None:
    writer = await connect(service, f"/ws/rooms/{room}", user=1)
    assert (await enter(writer, "before"))["seq"] == 1
    async with http_client(service.http) as http:
        assert await readiness(http) == (200, "")
        only_read(service.database, by=by)
        try:
            await read_often(http, room)

            async def unready() -> bool:
                return await readiness(http) == (503, "read-only: no write would work")

            await eventually(unready, "it says that it is not ready")
            assert (await enter(writer, "meanwhile", client_id="a"))["code"] == "unavailable"
            await read_often(http, room)
        finally:
            write_again(service.database, by=by)
        assert (await enter(writer, "after", client_id="a"))["seq"] == 2
        assert (await readiness(http))[0] == 200


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
async def test_so_does_one_in_a_transaction_and_one_whose_server_has_not_said_that_it_only_reads(
    database: Database, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """Before PostgreSQL 14 servers did not say so, nor do poolers."""
    if not told:
        monkeypatch.setattr("service.engine.storage.database.only_reads", lambda _: False)
    settings = Settings(database_url=SecretStr(database.url), database_pool_size=1)
    pool = Pool(settings, Metrics())
    write = text("insert into streams (name, last_seq) values (:name, 1)")
    only_read(database, by="database")
    assert await pool.execute(text("select 1"))
    with pytest.raises(Unavailable):
        await pool.execute(write, {"name": "never"})
    assert await pool.execute(text("select 1"))
    write_again(database, by="database")
    if told:
        async with pool.session() as session:
            await session.execute(write, {"name": "first"})
    else:
        await pool.execute(write, {"name": "first"})
    assert database.rows("select name from streams") == [("first",)]
    await pool.close()


async def test_of_several_servers_the_one_that_takes_writes_is_found_and_found_again(
    cluster: Cluster, database: Database, connect: Connect, room: int
) -> None:
    with standby_of(cluster) as standby:
        hosts = ",".join(quote(str(host), safe="") for host in (standby.directory, cluster.address.socket_directory))
        service = Service(database, {"DATABASE_URL": f"postgresql://postgres@{hosts}/{database.name}"})
        try:
            writer, listener = [await connect(service, f"/ws/rooms/{room}", user=user) for user in (1, 2)]
            assert (await enter(writer, "before"))["seq"] == 1
            assert (await listener.receive())["seq"] == 1
            cluster.stop()  # which waits until the standby has all
            assert (await enter(writer, "meanwhile", client_id="a"))["code"] == "unavailable"
            standby.promote()

            async def accepted() -> bool:
                return bool((await enter(writer, "after", client_id="a"))["type"] == "entry_created")

            await eventually(accepted, "entries are accepted again")
            assert (await listener.receive())["seq"] == 2
            async with http_client(service.http) as http:

                async def ready() -> bool:
                    return await readiness(http) == (200, "")

                await eventually(ready, "ready again")
        finally:
            service.stop()
            cluster.start()
