"""A database that asks for a password, which may be anything, may be wrong, and may become right."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from service.engine.storage.connecting import connect_for_migrations
from tests.engine.database.reasons import events, reason
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.running import Service
from tests.engine.kit.waiting import eventually, wait_until
from tests.engine.rooms import enter

SECRET = "Tr0ub4dor"
ROLE = "with_password"


class Locked:
    """A database for a role that needs a password."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def opened_with(self, password: str) -> Database:
        url = self.database.url.replace("postgres@", f"{ROLE}:{quote(password, safe='')}@")
        return Database(url, self.database.name, self.database.application)

    def change(self, password: str) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(ROLE), password))

    def refuses(self, password: str) -> bool:
        try:
            connect_for_migrations(self.opened_with(password).url).close()
        except psycopg.OperationalError as error:
            return "password" in str(error)
        return False


@pytest.fixture
def locked(postgres: Address) -> Iterator[Locked]:
    database = postgres.create_database()
    database.execute(f"drop role if exists {ROLE}; create role {ROLE} login superuser")
    rules = Path(database.value("show hba_file"))
    before = rules.read_text()
    rules.write_text(f"local all {ROLE} scram-sha-256\n{before}")
    database.execute("select pg_reload_conf()")
    locked = Locked(database)
    wait_until(lambda: locked.refuses("wrong"), "a password is asked for")
    yield locked
    rules.write_text(before)
    database.execute("select pg_reload_conf()")


def test_it_may_be_anything(locked: Locked) -> None:
    for password in ("pässwörd€", "Tr%cky", "a@b/c:d?e#f[g]&h=i", "'\\\"", "two words", "+", "文"):
        locked.change(password)
        with connect_for_migrations(locked.opened_with(password).url) as connection:
            assert connection.info.user == ROLE
        assert locked.refuses("wrong")


async def test_a_wrong_one_is_said_at_once_and_not_each_time(locked: Locked, connect: Connect, room: int) -> None:
    locked.change("another")
    service = Service(locked.opened_with(SECRET), ready=False)
    try:
        for event in ("broker_unavailable", "database_unavailable"):
            assert f'password authentication failed for user "{ROLE}"' in await reason(service, event)
        assert (await asyncio.to_thread(service.get, "/readyz")).status_code == 503
        writer = await connect(service, f"/ws/rooms/{room}", user=1)
        for _ in range(20):
            assert (await enter(writer, "x"))["code"] == "unavailable"
        assert len(events(service, "database_unavailable")) == 1
        assert SECRET not in service.log()
        locked.change(SECRET)

        async def ready() -> bool:
            return (await asyncio.to_thread(service.get, "/readyz")).status_code == 200

        await eventually(ready, "ready")
        assert (await enter(writer, "x"))["seq"] == 1
    finally:
        service.stop()
