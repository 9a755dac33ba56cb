"""`POST /api/users/{user_id}/disconnect` throws a user out of every process, and what they held no longer counts."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest

from tests.engine.kit.client import Client, refused
from tests.engine.kit.commands import SECRET_KEY
from tests.engine.kit.fixture_types import Broker, Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually

PATH = "/ws/letters"
REVOKED = (401, "invalid_token", 1008)
OPERATOR = bearer(1_000_000, scope="connections:write")
PROMISED = 0.5
ROUNDS = 3
_users = itertools.count(5_000_000)


@pytest.fixture
def number() -> Callable[[], int]:
    """Numbers of users whom no test elsewhere is: they are thrown out of services that other tests use too."""
    return lambda: next(_users)


@pytest.fixture
def both(shared_service: StartService, broker: Broker) -> list[Service]:
    """Two processes on the same database, with each of the brokers."""
    first = shared_service(**broker)
    return [first, shared_service(database=first.database, MAX_CONNECTIONS_PER_USER="100", **broker)]


def older(user: int, **claims: Any) -> str:
    """A token of `user` from before now; `iat` counts whole seconds."""
    return token(user, iat=int(time.time()) - 1, **claims)


def newer(user: int, **claims: Any) -> str:
    """A token of `user` from the next second on."""
    return token(user, iat=int(time.time()) + 1, **claims)


async def disconnect(service: Service, user: object) -> None:
    async with http_client(service.http) as http:
        answer = await http.post(f"/api/users/{user}/disconnect", headers=OPERATOR)
    assert answer.status_code == 204, answer.text
    assert answer.content == b""


async def ticket_of(service: Service, secret: str) -> str:
    async with http_client(service.http) as http:
        answer = await http.post("/api/tickets", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["ticket"])


async def reads(service: Service, secret: str) -> int:
    """The status of an HTTP request with this token."""
    async with http_client(service.http) as http:
        headers = {"Authorization": f"Bearer {secret}"}
        return (await http.get("/api/rooms/1/entries", headers=headers)).status_code


async def is_refused(service: Service, secret: str) -> None:
    """The token no longer counts, for HTTP from now on, and so for a handshake."""

    async def refused_by_http() -> bool:
        return await reads(service, secret) == 401

    await eventually(refused_by_http, "the token is refused")
    assert (await refused(service.ws, PATH, token=secret)).reason == REVOKED


async def test_every_connection_of_the_user_is_closed_on_every_process_at_once(
    both: list[Service], connect: Connect, number: Callable[[], int]
) -> None:
    """Within 500 ms, as the middle one of three measurements: other tests run on this machine."""
    took = []
    for _ in range(ROUNDS):
        user, other = number(), number()
        places = [(where, path) for where in both for path in (PATH, "/ws/rooms/1")]
        clients = [await connect(where, path, token=older(user)) for where, path in places]
        clients.append(await connect(both[1], PATH, ticket=await ticket_of(both[0], older(user))))
        others = [await connect(where, path, user=other) for where, path in places]
        started = time.monotonic()
        closing = [asyncio.create_task(client.ending()) for client in clients]
        await disconnect(both[0], user)
        endings = await asyncio.gather(*closing)
        assert {(ending.code, ending.reason) for ending in endings} == {(1008, "revoked")}
        assert not any(ending.raw for ending in endings)
        took.append(max(ending.at for ending in endings) - started)
        for client in others:
            await client.lives()
    assert sorted(took)[ROUNDS // 2] <= PROMISED, took


async def test_a_user_without_connections_may_be_disconnected_and_again(service: Service, user: int) -> None:
    for _ in range(2):
        await disconnect(service, user)
    await is_refused(service, older(user))
    assert service.database.value("select count(*) from revocations where user_id = %s", str(user)) == 1


async def test_older_tokens_are_refused_everywhere_and_newer_ones_are_not(
    both: list[Service], connect: Connect, user: int
) -> None:
    old, ageless = older(user), token(user, iat=0)
    for where in both:
        assert await reads(where, old) == 200
    await disconnect(both[0], user)
    for where in both:
        for secret in (old, ageless):
            await is_refused(where, secret)
        assert await reads(where, newer(user)) == 200
        await (await connect(where, PATH, token=newer(user))).lives()


async def test_a_token_that_does_not_say_when_it_was_issued_counts_as_old(
    service: Service, connect: Connect, user: int
) -> None:
    undated = jwt.encode({"sub": str(user), "exp": int(time.time()) + 60}, SECRET_KEY)
    await (await connect(service, PATH, token=undated)).lives()
    await disconnect(service, user)
    await is_refused(service, undated)


async def test_a_token_that_claims_to_be_from_the_future_is_no_way_out(service: Service, user: int) -> None:
    assert await reads(service, token(user, iat=int(time.time()) + 3600)) == 401


async def test_older_tickets_are_refused_and_newer_ones_are_not(
    both: list[Service], connect: Connect, user: int
) -> None:
    tickets = [await ticket_of(both[0], older(user)) for _ in both]
    await disconnect(both[0], user)
    for where, old in zip(both, tickets, strict=True):
        await is_refused(where, older(user))
        assert (await refused(where.ws, PATH, ticket=old)).reason == (401, "invalid_ticket", 1008)
        await (await connect(where, PATH, ticket=await ticket_of(where, newer(user)))).lives()


async def test_an_older_token_does_not_renew_a_connection(service: Service, connect: Connect, user: int) -> None:
    old = older(user)
    await disconnect(service, user)
    exp = int(time.time()) + 3
    client = await connect(service, PATH, token=newer(user, exp=exp))
    await is_refused(service, old)
    answer = await client.ask({"type": "authenticate", "token": old})
    assert (answer["type"], answer["code"]) == ("error", "invalid_token")
    assert (await client.ask({"type": "authenticate", "token": newer(user)}))["type"] == "authenticated"
    await client.lives()


async def test_a_renewed_connection_is_closed_too(service: Service, connect: Connect, user: int) -> None:
    client = await connect(service, PATH, token=older(user, ttl=60))
    await client.ask({"type": "authenticate", "token": older(user, ttl=120)})
    await disconnect(service, user)
    assert await client.closed(2) == (1008, "revoked")


async def test_a_client_that_sends_without_pause_is_closed_too(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, f"/ws/rooms/{room}", token=older(user))

    async def write() -> None:
        while True:
            await client.send({"type": "new_entry", "body": "more"})
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    await client.receive()
    await disconnect(service, user)
    assert await client.closed(2) == (1008, "revoked")
    await asyncio.gather(writing, return_exceptions=True)


async def test_a_process_that_starts_anew_knows(both: list[Service], user: int) -> None:
    here, there = both
    old = older(user)
    ticket = await ticket_of(here, old)
    await disconnect(here, user)
    (killed,) = there.workers()
    killed.kill()

    async def replaced() -> bool:
        try:
            return killed not in there.workers() and (await asyncio.to_thread(there.get, "/readyz")).is_success
        except httpx.TransportError:
            return False

    await eventually(replaced, "another process has taken its place")
    assert (await refused(there.ws, PATH, token=old)).reason == REVOKED
    assert (await refused(there.ws, PATH, ticket=ticket)).reason == (401, "invalid_ticket", 1008)
    assert await reads(there, old) == 401
    assert await reads(there, newer(user)) == 200
    assert await reads(there, older(user + 1_000_000)) == 200


@pytest.mark.parametrize(
    "scope",
    [None, "", "connections", "connections:read", "letters:write", "CONNECTIONS:WRITE", "connections:write:all"],
)
async def test_it_takes_the_scope(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int, scope: str | None
) -> None:
    """Whoever asks: not even oneself may be disconnected without it."""
    client = await connect(service, PATH, user=user)
    answer = await http.post(f"/api/users/{user}/disconnect", headers=bearer(user, scope=scope))
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert set(answer.json()) == {"type", "code", "message"}
    assert "connections:write" in answer.json()["message"]
    await client.lives()
    assert service.database.value("select count(*) from revocations where user_id = %s", str(user)) == 0


async def test_it_takes_a_token(service: Service, connect: Connect, http: httpx.AsyncClient, user: int) -> None:
    client = await connect(service, PATH, user=user)
    wrong: list[tuple[dict[str, str], str]] = [
        ({}, "missing_token"),
        (bearer(1, scope="connections:write", ttl=-1), "expired_token"),
        (
            bearer(1, scope="connections:write", key="a key that is not in use anywhere, and long enough"),
            "invalid_token",
        ),
    ]
    for headers, code in wrong:
        answer = await http.post(f"/api/users/{user}/disconnect", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
    await client.lives()


@pytest.mark.parametrize(
    "user_id", ["abc", "-1", "1.5", "%20", "*", str(2**63), "1%00", "%D9%A7", "1%20or%201=1", "%25"]
)
async def test_who_can_be_no_user_is_refused(http: httpx.AsyncClient, service: Service, user_id: str) -> None:
    before = service.database.value("select count(*) from revocations")
    answer = await http.post(f"/api/users/{user_id}/disconnect", headers=OPERATOR)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "user_id" in answer.json()["message"]
    assert service.database.value("select count(*) from revocations") == before


NAMES = [
    *["alice", "auth0|5f7c8ec7", "a b", "O'Brien\"; --", "1", "é😀", "a%b_c", "x" * 255],
    *["google-oauth2/1", "https://issuer.example/users/1", "../alice", "/", "alice/disconnect", "two\nlines\n"],
]


async def test_users_with_names_are_disconnected_by_name(
    shared_service: StartService, connect: Connect, number: Callable[[], int]
) -> None:
    service = shared_service(JWT_SUBJECT_TYPE="string")
    old = int(time.time()) - 1
    clients = {name: await connect(service, PATH, token=token(name, iat=old)) for name in NAMES}
    bystander = await connect(service, PATH, token=token("Alice", iat=old))

    async def thrown_out(http: httpx.AsyncClient, name: str, client: Client) -> None:
        await client.lives()
        path = f"/api/users/{quote(name, safe='')}/disconnect"
        assert (await http.post(path, headers=bearer("operator", scope="connections:write"))).status_code == 204
        assert await client.closed(2) == (1008, "revoked")

    async with http_client(service.http) as http:
        for name, client in clients.items():
            await thrown_out(http, name, client)
    await bystander.lives()
