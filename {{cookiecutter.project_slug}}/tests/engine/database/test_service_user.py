"""The service runs as a user of its own: everything works, and nothing but rows can be read or changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.engine.kit.commands import SECRET_KEY, Commands
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address, Cluster, Database
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter, send_letter

CONNECTED = """
    select distinct usename from pg_stat_activity where application_name = 'service' and usename is not null
"""
"""Who is still logging in has no name yet (PostgreSQL 18)."""
OWNER, USER, PASSWORD = "owner", "service tasks", "the service's"


class Deployed:
    """A database as in the cloud: one user owns and migrates it, another serves. Both log in by password."""

    def __init__(self, address: Address, commands: Commands) -> None:
        self.root = address.database("service")
        self._commands = commands
        self.owner = self._opened(OWNER, "the owner's")

    def _opened(self, user: str, password: str) -> Database:
        url = f"{self.root.url.replace('postgres@', '')}&user={user}&password={password}".replace(" ", "%20")
        return Database(url, self.root.name, self.root.application)

    def service(self, password: str = PASSWORD) -> Database:
        return self._opened(USER, password)

    def migrate(self, **settings: str) -> str:
        """Let the owner migrate for the service; what there is to complain of."""
        chosen = {"DATABASE_SERVICE_USER": USER, "DATABASE_SERVICE_PASSWORD": PASSWORD} | settings
        done = self._commands.run("migrate", DATABASE_URL=self.owner.url, SECRET_KEY=SECRET_KEY, **chosen)
        assert (done.returncode != 0) == bool(done.stderr), done.stderr
        return done.stderr


@pytest.fixture(scope="module")
def cluster(application_module: str) -> Iterator[Cluster]:
    """A server of its own, because it asks for passwords and logs what changes users, as RDS does."""
    cluster = Cluster(application_module)
    cluster.address.database("postgres").execute("alter system set log_statement = 'ddl'")
    rules = Path(cluster.address.database("postgres").value("show hba_file"))
    rules.write_text(f"local all postgres trust\n{rules.read_text().replace('trust', 'scram-sha-256')}")
    cluster.address.database("postgres").execute("select pg_reload_conf()")
    yield cluster
    cluster.destroy()


@pytest.fixture
def deployed(cluster: Cluster, commands: Commands) -> Iterator[Deployed]:
    """An empty database of an owner who is no superuser, as RDS gives it."""
    postgres = cluster.address.database("postgres")
    postgres.execute(f"create role {OWNER} login createrole password 'the owner''s'")
    postgres.execute(f"create database service owner {OWNER}")
    deployed = Deployed(cluster.address, commands)
    yield deployed
    postgres.execute("drop database service with (force)")
    postgres.execute(f'drop role if exists "{USER}"; drop role {OWNER}')


async def test_everything_works_as_that_user(deployed: Deployed, connect: Connect) -> None:
    assert deployed.migrate() == ""
    one, other = [Service(deployed.service()) for _ in range(2)]
    try:
        await all_of_it_works(one, other, connect)
        assert deployed.root.rows(CONNECTED) == [(USER,)]
        assert "permission denied" not in one.log() + other.log()
    finally:
        for service in (one, other):
            service.stop()


async def all_of_it_works(one: Service, other: Service, connect: Connect) -> None:
    """Two processes: readiness, tickets, streams, letters, presence, signals, a disconnect."""
    async with http_client(one.http) as http:
        assert (await http.get("/readyz")).status_code == 200
        ticket = (await http.post("/api/tickets", headers=bearer(7))).json()["ticket"]
        writer = await connect(one, f"/ws/rooms/1?ticket={ticket}", user=None)
        reader = await connect(other, "/ws/streams", user=8)
        await reader.send({"type": "subscribe", "stream": "rooms/1", "presence": True})
        assert [(await reader.receive())["type"] for _ in range(2)] == ["subscribed", "presence"]
        assert (await enter(writer, "first"))["seq"] == 1
        assert (await reader.receive())["body"] == "first"

        neighbour = await connect(one, "/ws/streams", user=9)
        await neighbour.send({"type": "subscribe", "stream": "rooms/1", "presence": True})
        assert (await reader.receive()) == {"type": "joined", "stream": "rooms/1", "user_id": 9}
        await neighbour.send({"type": "signal", "stream": "rooms/1", "data": {"typing": True}})
        assert (await reader.receive())["data"] == {"typing": True}

        letters = await connect(other, "/ws/letters", user=7)
        await send_letter(http, 7, {"text": "hello"})
        assert (await letters.receive())["data"] == {"text": "hello"}
        await http.post("/api/users/8/disconnect", headers=bearer(1, scope="connections:write"))
        assert await reader.closed() == (1008, "revoked")

        async def nobody_else() -> bool:
            answer = await http.get("/api/streams/rooms/1/presence", headers=bearer(9))
            return bool(answer.json()["users"] == [9])

        await eventually(nobody_else, "presence forgets who has left", within=15)


FORBIDDEN = [
    "drop table entries",
    "truncate entries",
    "alter table entries add column more int",
    "create index on entries (body)",
    "create trigger t before insert on entries for each row execute function suppress_redundant_updates_trigger()",
    "create table mine (id int)",
    "create schema mine",
    "create role mine",
    "create database mine",
    "create extension pg_trgm",
    f"alter role {OWNER} password 'mine'",
    f"set role {OWNER}",
    "update alembic_version set version_num = '9999'",
    "delete from engine_version",
    "insert into applied_revisions values ('engine', '9999')",
    "select * from secrets.salaries",
    "select rolpassword from pg_authid",
    "select pg_read_file('postgresql.conf')",
    "copy entries to program 'cat'",
]


def test_it_can_neither_drop_nor_create_nor_read_what_is_not_the_services(deployed: Deployed) -> None:
    assert deployed.migrate() == ""
    deployed.owner.execute("create schema secrets; create table secrets.salaries (amount int)")
    assert deployed.service().value("select count(*) from alembic_version") == 1
    for statement in FORBIDDEN:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            deployed.service().execute(statement)


def test_what_a_later_migration_makes_is_let_at_too(deployed: Deployed) -> None:
    assert deployed.migrate() == ""
    deployed.owner.execute("""
        create table later (id int generated always as identity, n serial);
        create view "seen %% later" as select * from later
    """)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        deployed.service().execute("insert into later default values")
    assert deployed.migrate(DATABASE_SERVICE_PASSWORD="") == "", "who is there needs no password"
    deployed.service().execute("insert into later default values")
    assert deployed.service().rows('select * from "seen %% later"') == [(1, 1)]


def test_a_new_password_is_the_one_from_the_next_migration_on(deployed: Deployed) -> None:
    assert deployed.migrate() == ""
    assert deployed.migrate(DATABASE_SERVICE_PASSWORD="another %") == ""
    assert deployed.service("another %25").value("select 1") == 1
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        deployed.service().value("select 1")


def test_no_password_is_in_the_servers_log(cluster: Cluster, deployed: Deployed) -> None:
    assert deployed.migrate(DATABASE_SERVICE_PASSWORD="only-here") == ""
    log: Any = (cluster.home / "data" / "log").read_text()
    assert "CREATE ROLE" in log
    assert "only-here" not in log


def test_a_user_that_cannot_be_let_in_is_said_in_one_line(deployed: Deployed) -> None:
    for settings, sentence in (
        ({"DATABASE_SERVICE_USER": OWNER}, "DATABASE_SERVICE_USER is the user of DATABASE_URL"),
        ({"DATABASE_SERVICE_USER": "nobody", "DATABASE_SERVICE_PASSWORD": ""}, "there is no user nobody"),
    ):
        (line,) = deployed.migrate(**settings).splitlines()
        assert sentence in line
    deployed.root.execute(f"alter role {OWNER} nocreaterole")
    (line,) = deployed.migrate().splitlines()
    assert "permission denied to create role" in line
