"""Sessions are as we need them, whatever the server, its databases and roles, or the shell would have them be."""

import asyncio
from collections.abc import Iterator

import pytest

from service.engine.storage.connecting import connect, connect_for_migrations
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address, Database, migrate
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.rooms import POSTMASTER, enter

SETTINGS = {
    "timezone": "Asia/Kolkata",
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "extra_float_digits": "-5",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "xmloption": "document",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "3s",
    "lock_timeout": "3s",
    "transaction_timeout": "3s",
    "idle_session_timeout": "3s",
    "idle_in_transaction_session_timeout": "3s",
    "lc_messages": "C",
}
"""What a database or a role may be set to."""
SHELL = {
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "SQL, DMY",
    "PGTZ": "America/New_York",
    "PGGEQO": "off",
    "PGAPPNAME": "psql",
    "PGOPTIONS": "-c bytea_output=escape -c client_encoding=LATIN1 -c statement_timeout=4s -c IntervalStyle=iso_8601",
}
NEEDED = {
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "application_name": "service",
}
ENCODINGS = ["UTF8", "SQL_ASCII", "LATIN1", "WIN1252", "EUC_JP"]
SHOW = "select name, current_setting(name) from unnest(%s::text[]) as name"


def database_in(postgres: Address, encoding: str, **settings: str) -> Database:
    """An empty database in an encoding, with defaults of its own."""
    database = postgres.create_database(migrated=False)
    cluster = postgres.database("postgres")
    cluster.execute(f"drop database {database.name}")
    cluster.execute(
        f"create database {database.name} encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'"
    )
    for name, value in settings.items():
        cluster.execute(f"alter database {database.name} set {name} = '{value}'")
    return database


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_every_session_is_as_we_need_it(
    postgres: Address, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)
    database = database_in(postgres, encoding, **SETTINGS)
    async with await connect(database.url) as connection:
        shown = await (await connection.execute(SHOW, [list(NEEDED)])).fetchall()
        assert dict(shown) == NEEDED
        (limit,) = await (await connection.execute("show statement_timeout")).fetchone() or ()
        assert limit == "10s"
    with await asyncio.to_thread(connect_for_migrations, database.url) as blocking:
        assert dict(blocking.execute(SHOW, [list(NEEDED)]).fetchall()) == NEEDED
        assert blocking.execute("show statement_timeout").fetchone() == ("0",), "an index may take its time"


async def test_what_the_address_asks_for_counts_and_what_the_shell_does_does_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=4s -c search_path=from_shell")
    for url, expected in (
        (database.url, ["10s", "from_shell"]),
        (f"{database.url}&options=-cstatement_timeout%3D7s%20-cclient_encoding%3DLATIN1", ["7s", '"$user", public']),
    ):
        async with await connect(url) as connection:
            assert connection.info.encoding == "utf-8"
            shown = await (await connection.execute(SHOW, [["statement_timeout", "search_path"]])).fetchall()
            assert [value for _, value in shown] == expected


@pytest.fixture(scope="module")
def ascii_service(postgres: Address) -> Iterator[Service]:
    """On a database and in a shell that differ from ours in all they can."""
    database = database_in(postgres, "SQL_ASCII", **SETTINGS)
    migrate(database)
    service = Service(database, SHELL)
    yield service
    service.stop()


@pytest.fixture(scope="module")
def latin_service(postgres: Address) -> Iterator[Service]:
    database = database_in(postgres, "LATIN1")
    migrate(database)
    service = Service(database)
    yield service
    service.stop()


async def test_every_character_is_stored_and_delivered_in_the_right_time(
    ascii_service: Service, connect: Connect, room: int
) -> None:
    path = f"/ws/rooms/{room}"
    writer, reader = [await connect(ascii_service, path, user=user) for user in (1, 2)]
    created = await enter(writer, "€ 文 🎉", client_id="€")
    assert (created["type"], created["seq"], created["client_id"]) == ("entry_created", 1, "€")
    heard = await reader.receive()
    late = await connect(ascii_service, path, user=3, after=0)
    assert await late.receive_until("caught_up") == [heard, {"type": "caught_up", "seq": 1}]
    assert heard["body"] == "€ 文 🎉"
    assert heard["created_at"].endswith("Z")
    assert ascii_service.database.value("select abs(extract(epoch from now() - created_at)) < 60 from entries")
    again = await enter(writer, "€ 文 🎉", client_id="€")
    assert again == created


async def test_tickets_letters_and_revocations_work_there_too(
    ascii_service: Service, connect: Connect, user: int
) -> None:
    async with http_client(ascii_service.http) as http:
        data = {"text": "€", "number": 0.1234567890123456}
        letter = {"user_id": user, "data": data}
        assert (await http.post("/api/letters", json=letter, headers=POSTMASTER)).status_code == 201
        kept = (await http.get("/api/letters", headers=bearer(user))).json()["letters"]
        assert [one["data"] for one in kept] == [data]
        ticket = (await http.post("/api/tickets", headers=bearer(user))).json()["ticket"]
        client = await connect(ascii_service, "/ws/letters", ticket=ticket)
        await client.lives()
        operator = bearer(1, scope="connections:write")
        assert (await http.post(f"/api/users/{user}/disconnect", headers=operator)).status_code == 204
        assert await client.closed() == (1008, "revoked")


async def test_what_a_database_cannot_hold_is_refused_and_nobody_is_cut(
    latin_service: Service, connect: Connect, room: int
) -> None:
    path = f"/ws/rooms/{room}"
    writer, reader = [await connect(latin_service, path, user=user) for user in (1, 2)]
    for _ in range(20):  # more often than bad input may be repeated
        refused = await enter(writer, "5 €", client_id="same")
        assert (refused["type"], refused["code"], refused["client_id"]) == ("error", "invalid_message", "same")
        assert "encoding" in refused["message"]
        assert "€" not in refused["message"]
    assert (await enter(writer, "fünf", client_id="€"))["code"] == "invalid_message"
    assert (await enter(writer, "fünf", client_id="same"))["seq"] == 1
    assert (await reader.receive())["body"] == "fünf"
    await writer.lives()


async def test_json_carries_every_character_there_too(latin_service: Service, user: int) -> None:
    async with http_client(latin_service.http) as http:
        letter = {"user_id": user, "data": {"€": "文"}}
        assert (await http.post("/api/letters", json=letter, headers=POSTMASTER)).status_code == 201
        kept = (await http.get("/api/letters", headers=bearer(user))).json()["letters"]
        assert [one["data"] for one in kept] == [{"€": "文"}]
