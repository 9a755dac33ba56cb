"""Tickets: what a browser shows instead of its token, good for one handshake within 30 seconds."""

import asyncio
import base64
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.engine.kit.client import connected, refused
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.raw import HOST
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

PATH = "/ws/letters"
INVALID = (401, "invalid_ticket", 1008)
AGED = "update tickets set valid_until = valid_until - make_interval(secs => %s)"
REPLAYS, AT_ONCE = 1000, 200


@pytest.fixture
def service(shared_service: StartService) -> Service:
    """A process that writes down all it can."""
    return shared_service(LOG_LEVEL="DEBUG")


@pytest.fixture
def twin(service: Service, shared_service: StartService) -> Service:
    """A second process on the same database."""
    return shared_service(database=service.database, LOG_LEVEL="DEBUG")


async def ticket_for(http: httpx.AsyncClient, user: int, **claims: Any) -> str:
    answer = await http.post("/api/tickets", headers=bearer(user, **claims))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["ticket"])


async def test_a_ticket_is_a_short_secret_for_thirty_seconds(http: httpx.AsyncClient, user: int) -> None:
    answer = await http.post("/api/tickets", headers=bearer(user))
    assert answer.status_code == 200
    assert answer.json() == {"ticket": answer.json()["ticket"], "expires_in": 30}
    assert re.fullmatch(r"[\w-]{32,128}", answer.json()["ticket"]), "fits into an address, and cannot be guessed"
    assert len({await ticket_for(http, user) for _ in range(5)}) == 5


async def test_a_ticket_is_for_the_bearer_of_a_token(http: httpx.AsyncClient, user: int) -> None:
    for headers, code in (
        ({}, "missing_token"),
        ({"Authorization": "Bearer nonsense"}, "invalid_token"),
        (bearer(user, ttl=-1), "expired_token"),
    ):
        answer = await http.post("/api/tickets", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
    other_ways = {"token": token(user), "ticket": await ticket_for(http, user)}
    answer = await http.post("/api/tickets", params=other_ways)
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_token"), "a ticket must not beget a ticket"
    assert (await http.get("/api/tickets", headers=bearer(user))).status_code == 405


async def test_a_ticket_opens_one_connection_on_any_process(
    service: Service, twin: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    for path in (PATH, "/ws/rooms/1"):
        ticket = await ticket_for(http, user)
        client = await connect(twin, path, ticket=ticket)
        await client.lives()
        for where in (service, twin):
            refusal = await refused(where.ws, path, ticket=ticket)
            assert refusal.reason == INVALID
            assert ticket not in str(refusal)
        await client.lives()


async def test_the_holder_of_a_ticket_is_the_user_it_was_issued_to(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int, user: int
) -> None:
    path = f"/ws/rooms/{room}"
    listener = await connect(service, path, user=user + 1_000_000)
    client = await connect(service, path, ticket=await ticket_for(http, user), user_id=user + 1, sub=user + 1)
    await enter(client, "whose is this?")
    assert (await listener.receive())["author_id"] == user
    answer = await client.ask({"type": "authenticate", "token": token(user + 1)})
    assert answer["type"] == "error"


async def test_a_connection_by_ticket_ends_with_the_token_behind_it(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    exp = int(time.time()) + 4
    client, renewed = [await connect(service, PATH, ticket=await ticket_for(http, user, exp=exp)) for _ in range(2)]
    assert (await renewed.ask({"type": "authenticate", "token": token(user)}))["type"] == "authenticated"
    assert await client.closed() == (1008, "token expired")
    assert -0.1 < time.time() - exp < 5
    await renewed.lives()


async def test_a_ticket_is_worth_nothing_once_its_token_has_expired(
    service: Service, http: httpx.AsyncClient, user: int
) -> None:
    ticket = await ticket_for(http, user)
    service.database.execute("update tickets set expires_at = now() where user_id = %s", str(user))
    assert (await refused(service.ws, PATH, ticket=ticket)).reason == INVALID


async def test_after_thirty_seconds_a_ticket_is_worth_nothing(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    young, old = [await ticket_for(http, user) for _ in range(2)]
    service.database.execute(AGED, 20)
    await (await connect(service, PATH, ticket=young)).lives()
    service.database.execute(AGED, 10)
    assert (await refused(service.ws, PATH, ticket=old)).reason == INVALID


async def test_old_tickets_do_not_pile_up(service: Service, http: httpx.AsyncClient, user: int) -> None:
    for _ in range(20):
        await ticket_for(http, user)
    service.database.execute(AGED, 31)
    await ticket_for(http, user)
    assert service.database.value("select count(*) from tickets where user_id = %s", str(user)) == 1


NEVER_ISSUED = [
    "x",
    "0" * 43,
    "A" * 5000,
    "é",
    "\N{PILE OF POO}",
    "a\nb",
    "a b",
    "' or true --",
    "%00",
    "\0",
    "None",
    "*",
]


@pytest.mark.parametrize("ticket", NEVER_ISSUED, ids=lambda ticket: ascii(ticket)[:20])
async def test_a_ticket_that_was_never_issued_is_refused(service: Service, ticket: str) -> None:
    assert (await refused(service.ws, PATH, ticket=ticket)).reason == INVALID


async def test_nearly_a_ticket_is_none(service: Service, connect: Connect, http: httpx.AsyncClient, user: int) -> None:
    ticket = await ticket_for(http, user)
    for nearly in (ticket[:-1], ticket + "=", f"{ticket} ", ticket.swapcase(), token(user)):
        assert (await refused(service.ws, PATH, ticket=nearly)).reason == INVALID
    await (await connect(service, PATH, ticket=ticket)).lives()


async def test_an_empty_ticket_is_a_missing_token(service: Service) -> None:
    assert (await refused(service.ws, PATH, ticket="")).reason == (401, "missing_token", 1008)


async def test_a_ticket_is_no_token(service: Service, http: httpx.AsyncClient, user: int) -> None:
    ticket = await ticket_for(http, user)
    for place in (
        {"token": ticket},
        {"headers": {"Authorization": f"Bearer {ticket}"}},
        {"subprotocols": ["live.v1", f"bearer.{ticket}"]},
    ):
        assert (await refused(service.ws, PATH, **place)).reason == (401, "invalid_token", 1008)
    answer = await http.get("/api/rooms/1/entries", headers={"Authorization": f"Bearer {ticket}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    answer = await http.get("/api/rooms/1/entries", params={"ticket": ticket})
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_token")


async def test_a_ticket_is_looked_at_last_and_kept_if_something_else_decides(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    good, bad, ticket = token(user), token(user, ttl=-1), await ticket_for(http, user)
    places = (
        lambda value: {"headers": {"Authorization": f"Bearer {value}"}},
        lambda value: {"subprotocols": ["live.v1", f"bearer.{value}"]},
        lambda value: {"token": value},
    )
    for place in places:
        refusal = await refused(service.ws, PATH, ticket=ticket, **place(bad))
        assert refusal.reason == (401, "expired_token", 1008)
        async with connected(service.ws, PATH, ticket="never issued", **place(good)) as client:
            await client.lives()
        async with connected(service.ws, PATH, ticket=ticket, **place(good)) as client:
            await client.lives()
    await (await connect(service, PATH, ticket=ticket)).lives()


async def test_another_sites_page_cannot_use_up_a_ticket(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    ticket = await ticket_for(http, user)
    refusal = await refused(service.ws, PATH, ticket=ticket, origin="https://elsewhere.example")
    assert refusal.reason == (403, "forbidden_origin", 1008)
    await (await connect(service, PATH, ticket=ticket, origin=service.http)).lives()


async def replay(ports: list[int], ticket: str) -> list[int]:
    """The statuses of handshakes with the ticket, one to each port, all of them sent at once."""
    streams = await asyncio.gather(*(asyncio.open_connection(HOST, port) for port in ports))
    for _, writer in streams:
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET {PATH}?ticket={ticket} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
    lines = [await reader.readline() for reader, _ in streams]
    for _, writer in streams:
        writer.transport.abort()
    return [int(line.split()[1]) for line in lines]


async def test_of_a_thousand_racing_replays_over_two_processes_exactly_one_gets_in(
    service: Service, twin: Service, http: httpx.AsyncClient, user: int
) -> None:
    ticket, statuses = await ticket_for(http, user), Counter[int]()
    while statuses.total() < REPLAYS:
        statuses.update(await replay([service.port, twin.port] * (AT_ONCE // 2), ticket))
    assert statuses == {101: 1, 401: REPLAYS - 1}


async def test_the_database_holds_no_ticket_but_a_digest(service: Service, http: httpx.AsyncClient, user: int) -> None:
    ticket = await ticket_for(http, user, scope="letters:write")
    stored = service.database.value(
        "select tickets::text || encode(digest, 'escape') from tickets where user_id = %s", str(user)
    )
    assert ticket not in stored
    assert base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4)).hex() not in stored


@pytest.fixture
def lone(start_service: StartService) -> Service:
    """A service whose database nobody else misses when it is away."""
    return start_service(LOG_LEVEL="DEBUG")


@contextmanager
def away(postgres: Address, database: Database) -> Iterator[None]:
    """The database takes no connection, and every one that was open has ended."""
    server = postgres.database("postgres")
    server.execute(f'alter database "{database.name}" allow_connections false')
    server.rows("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", database.name)
    try:
        yield
    finally:
        server.execute(f'alter database "{database.name}" allow_connections true')


async def test_without_the_database_a_ticket_is_neither_given_nor_taken_but_a_token_is(
    lone: Service, connect: Connect, postgres: Address, user: int
) -> None:
    async with http_client(lone.http) as http:
        ticket = await ticket_for(http, user)
        with away(postgres, lone.database):
            answer = await http.post("/api/tickets", headers=bearer(user))
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            refusal = await refused(lone.ws, PATH, ticket=ticket)
            assert refusal.reason == (503, "unavailable", 1013)
            assert int(refusal.headers["retry-after"]) >= 1
            await (await connect(lone, PATH, user=user)).lives()

        async def taken() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await eventually(taken, "the service is ready again")
        await (await connect(lone, PATH, ticket=ticket)).lives()


async def test_no_ticket_appears_in_the_log(lone: Service, postgres: Address, user: int) -> None:
    async with http_client(lone.http) as http:
        used, kept, sent_away = [await ticket_for(http, user) for _ in range(3)]
        async with connected(lone.ws, PATH, ticket=used) as client:
            await client.lives()
        for path in (PATH, "/ws/nothing", "/ws/rooms/x", f"/ws/rooms/{user}?after=x&", "/ws/echo/more"):
            await refused(lone.ws, path, ticket=used)
        await refused(lone.ws, PATH, ticket=kept, origin="https://elsewhere.example")
        await refused(lone.ws, PATH, subprotocols=["live.v1", f"bearer.{kept}"])
        for path in ("/healthz", "/nothing", "/api/rooms/1/entries"):
            await http.get(path, params={"ticket": kept}, headers={"Authorization": f"Bearer {kept}"})
        with away(postgres, lone.database):
            await refused(lone.ws, PATH, ticket=sent_away)
        await http.get("/the-last-of-it")
    await eventually(lambda: "/the-last-of-it" in lone.log(), "all is written")
    log = lone.log()
    for ticket in (used, kept, sent_away):
        assert ticket not in log
        assert ticket[8:24] not in log, "not even a part of it"
    assert lone.log_lines()
