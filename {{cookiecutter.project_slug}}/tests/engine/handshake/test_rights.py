"""What a user may: read a stream, use an endpoint, say something; and what happens when a right ends."""

import asyncio
from typing import Any

import httpx
import pytest

from service.engine.auth.principal import Principal
from tests.engine.kit.client import Client, refused
from tests.engine.kit.fixture_types import Broker, Connect, Number, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token

FORBIDDEN = (403, "forbidden", 1008)
SECRETARY = bearer(1, scope="clubs:write")


@pytest.fixture
def service(shared_service: StartService, broker: Broker) -> Service:
    """A process, with each of the brokers."""
    return shared_service(**broker)


@pytest.fixture
def twin(service: Service, shared_service: StartService, broker: Broker) -> Service:
    """A second process on the same database and broker."""
    return shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100", **broker)


@pytest.fixture
def club(number: Number) -> int:
    """A club that nobody has founded."""
    return number()


async def join(http: httpx.AsyncClient, club: int, user: int) -> None:
    assert (await http.put(f"/api/clubs/{club}/members/{user}", headers=SECRETARY)).status_code == 204


async def expel(http: httpx.AsyncClient, club: int, user: int, **options: Any) -> None:
    path = f"/api/clubs/{club}/members/{user}"
    assert (await http.delete(path, headers=SECRETARY, params=options)).status_code == 204


async def announce(connect: Connect, service: Service, club: int, text: str) -> None:
    """By an officer who leaves again."""
    officer = await connect(service, f"/ws/clubs/{club}", token=token(9, clubs=[club], role="officer"))
    assert (await officer.ask({"type": "announce", "text": text}))["type"] == "announced"
    await officer.close()


async def loses_the_right(client: Client, club: int) -> None:
    """It is told so, and of which stream; the connection lives."""
    error = await client.receive()
    assert error == {"type": "error", "code": "forbidden", "message": error["message"], "stream": f"clubs/{club}"}
    await client.lives()


async def test_who_may_not_read_is_refused_before_the_handshake_and_over_http_alike(
    service: Service, http: httpx.AsyncClient, club: int, user: int
) -> None:
    for options in ({}, {"after": 0}):
        assert (await refused(service.ws, f"/ws/clubs/{club}", user=user, **options)).reason == FORBIDDEN
    answer = await http.get(f"/api/clubs/{club}/announcements", headers=bearer(user))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert answer.json()["message"] == "Members only."


async def test_who_may_read_does_so_by_a_table_or_by_a_claim(
    service: Service, connect: Connect, http: httpx.AsyncClient, club: int, user: int
) -> None:
    await join(http, club, user)
    for options in ({"user": user}, {"token": token(user + 1_000_000, clubs=[club])}):
        client = await connect(service, f"/ws/clubs/{club}", **options)
        await client.lives()
    await announce(connect, service, club, "hello")
    answer = await http.get(f"/api/clubs/{club}/announcements", headers=bearer(user))
    assert answer.json() == {"announcements": [{"seq": 1, "text": "hello", "price": None}], "last_seq": 1}


@pytest.mark.parametrize("at_once", [True, False], ids=["in a transaction", "by itself"])
async def test_when_a_right_ends_its_subscriptions_end_on_every_process_and_no_others(
    service: Service, twin: Service, connect: Connect, http: httpx.AsyncClient, number: Number, at_once: bool
) -> None:
    club, other_club, user, colleague = (number() for _ in range(4))
    for joined in ((club, user), (club, colleague), (other_club, user)):
        await join(http, *joined)
    leaving = [await connect(where, f"/ws/clubs/{club}", user=user) for where in (service, twin)]
    catching_up = await connect(twin, f"/ws/clubs/{club}", user=user, after=0)
    await catching_up.receive_until("caught_up")
    staying = [await connect(where, f"/ws/clubs/{club}", user=colleague) for where in (service, twin)]
    elsewhere = await connect(twin, f"/ws/clubs/{other_club}", user=user)
    await expel(http, club, user, at_once=at_once)
    await asyncio.gather(*(loses_the_right(client, club) for client in (*leaving, catching_up)))
    assert (await refused(twin.ws, f"/ws/clubs/{club}", user=user)).reason == FORBIDDEN
    for where in (club, other_club):
        await announce(connect, service, where, "after that")
    for client in (*staying, elsewhere):
        assert (await client.receive())["text"] == "after that"
    for client in (*leaving, catching_up):
        await client.lives()


async def test_a_right_that_comes_back_may_be_used_again(
    service: Service, connect: Connect, http: httpx.AsyncClient, club: int, user: int
) -> None:
    await join(http, club, user)
    before = await connect(service, f"/ws/clubs/{club}", user=user)
    await expel(http, club, user)
    await loses_the_right(before, club)
    await join(http, club, user)
    again = await connect(service, f"/ws/clubs/{club}", user=user)
    await announce(connect, service, club, "welcome back")
    assert (await again.receive())["text"] == "welcome back"


async def test_a_right_is_looked_at_again_with_each_newer_token(
    service: Service, connect: Connect, club: int, user: int
) -> None:
    client = await connect(service, f"/ws/clubs/{club}", token=token(user, clubs=[club]))
    for clubs in ([club], [club, club + 1]):
        answer = await client.ask({"type": "authenticate", "token": token(user, clubs=clubs)})
        assert answer["type"] == "authenticated"
        await client.lives()
    await client.send({"type": "authenticate", "token": token(user, clubs=[])})
    assert (await client.receive())["type"] == "authenticated"
    await loses_the_right(client, club)
    await announce(connect, service, club, "for members")
    await client.lives()


async def test_a_socket_may_ask_for_a_scope(service: Service, connect: Connect, user: int) -> None:
    for scope in (None, "", "profile", "profile:write", "PROFILE:READ"):
        refusal = await refused(service.ws, "/ws/profile", token=token(user, scope=scope))
        assert refusal.reason == (403, "insufficient_scope", 1008)
        assert "profile:read" in refusal.problem["message"]
    client = await connect(service, "/ws/profile", token=token(user, scope="letters:write profile:read"))
    assert (await client.ask({"type": "who"}))["scopes"] == ["letters:write", "profile:read"]


async def test_a_scope_is_asked_for_again_with_each_newer_token(service: Service, connect: Connect, user: int) -> None:
    client = await connect(service, "/ws/profile", token=token(user, scope="profile:read"))
    error = await client.ask({"type": "authenticate", "token": token(user, scope="letters:write", name="wrong")})
    assert (error["type"], error["code"]) == ("error", "insufficient_scope")
    profile = await client.ask({"type": "who"})
    assert (profile["scopes"], profile["claims"]) == (["profile:read"], {}), "the earlier token is still in force"
    newer = token(user, scope="profile:read profile:write", name="Ada")
    assert (await client.ask({"type": "authenticate", "token": newer}))["type"] == "authenticated"
    profile = await client.ask({"type": "who"})
    assert (profile["scopes"], profile["claims"]) == (["profile:read", "profile:write"], {"name": "Ada"})


async def test_whoever_asks_for_a_scope_by_a_ticket_needs_it_too(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    async def ticket(**claims: Any) -> str:
        return str((await http.post("/api/tickets", headers=bearer(user, **claims))).json()["ticket"])

    refusal = await refused(service.ws, "/ws/profile", ticket=await ticket(scope="profile:write"))
    assert refusal.reason == (403, "insufficient_scope", 1008)
    client = await connect(service, "/ws/profile", ticket=await ticket(scope="profile:read", **CLAIMS))
    profile = await client.ask({"type": "who"})
    assert (profile["scopes"], profile["claims"]) == (["profile:read"], CLAIMS)


CLAIMS: dict[str, Any] = {"tenant": "acme", "roles": ["a", "b"], "nested": {"list": [1, None, 0.5]}, "name": "Grüße 👋"}


async def test_the_other_claims_of_a_token_are_the_applications_to_read(
    service: Service, connect: Connect, user: int
) -> None:
    client = await connect(service, "/ws/profile", token=token(user, scope="profile:read", nbf=0, **CLAIMS))
    profile = await client.ask({"type": "who"})
    assert profile == {"type": "profile", "user_id": user, "scopes": ["profile:read"], "claims": CLAIMS}


def test_a_principals_claims_cannot_be_changed() -> None:
    principal = Principal(user_id=1, issued_at=0, expires_at=1, scopes=frozenset())
    with pytest.raises(TypeError):
        principal.claims["role"] = "admin"  # type: ignore[index]


async def test_what_an_operation_refuses_carries_the_client_id_and_never_ends_the_connection(
    service: Service, connect: Connect, club: int, user: int
) -> None:
    client = await connect(service, f"/ws/clubs/{club}", token=token(user, clubs=[club]))
    for number in range(20):
        error = await client.ask({"type": "announce", "text": "me too", "client_id": f"c{number}"})
        assert error == {
            "type": "error",
            "code": "not_an_officer",
            "message": "Officers announce.",
            "client_id": f"c{number}",
        }
    assert "client_id" not in await client.ask({"type": "announce", "text": "without"})
    await client.lives()
