"""One right for all ways: what each answers to who may read, who may not, and what cannot be told."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.engine.kit.client import Refusal, connected, refused
from tests.engine.kit.event_source import following
from tests.engine.kit.fixture_types import Number, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually

Answer = tuple[int, str]
"""The status, or that of the accepted handshake, and what was said: a message's type or an error's code."""
Way = Callable[[Service, str, str], Awaitable[Answer]]


def of_refusal(refusal: Refusal) -> Answer:
    return refusal.status, refusal.problem["code"]


async def own_endpoint(service: Service, stream: str, token: str) -> Answer:
    path = f"/ws/{stream}"
    try:
        async with connected(service.ws, path, token=token, after=0) as client:
            return 101, (await client.receive())["type"]
    except Exception as error:
        if "InvalidStatus" not in type(error).__name__:
            raise
        return of_refusal(await refused(service.ws, path, token=token, after=0))


async def many_streams(service: Service, stream: str, token: str) -> Answer:
    try:
        async with connected(service.ws, "/ws/streams", token=token) as client:
            answer = await client.ask({"type": "subscribe", "stream": stream, "after": 0})
            return 101, str(answer.get("code", answer["type"]))
    except Exception as error:
        if "InvalidStatus" not in type(error).__name__:
            raise
        return of_refusal(await refused(service.ws, "/ws/streams", token=token))


async def history(service: Service, stream: str, token: str) -> Answer:
    async with http_client(service.http) as http:
        answer = await http.get(f"/api/streams/{stream}", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code, answer.json().get("code", "events")


async def server_sent_events(service: Service, stream: str, token: str) -> Answer:
    async with following(service.http, stream, token=token, after=0) as source:
        if source.answer.status_code != 200:
            return source.answer.status_code, source.answer.json()["code"]
        return 200, (await source.receive()).event


WAYS: list[Way] = [own_endpoint, many_streams, history, server_sent_events]
ANSWERS: dict[str, list[Answer]] = {
    "allowed": [(101, "caught_up"), (101, "subscribed"), (200, "events"), (200, "caught_up")],
    "forbidden": [(403, "forbidden"), (101, "forbidden"), (403, "forbidden"), (403, "forbidden")],
    "unknown": [(404, "not_found"), (101, "unknown_stream"), (404, "unknown_stream"), (404, "unknown_stream")],
    "expired": [(401, "expired_token")] * 4,
    "revoked": [(401, "invalid_token")] * 4,
    "unavailable": [(503, "unavailable"), (101, "unavailable"), (503, "unavailable"), (503, "unavailable")],
}
"""In the order of the ways."""


@pytest.fixture
def club(number: Number) -> int:
    """A club that nobody has founded."""
    return number()


async def answers(service: Service, stream: str, token: str) -> list[Answer]:
    return [await way(service, stream, token) for way in WAYS]


async def test_who_may_and_who_may_not(service: Service, club: int, user: int) -> None:
    name = f"clubs/{club}"
    assert await answers(service, name, token(user, clubs=[club])) == ANSWERS["allowed"]
    assert await answers(service, name, token(user)) == ANSWERS["forbidden"]
    assert await answers(service, "unheard/7", token(user)) == ANSWERS["unknown"]
    assert await answers(service, name, token(user, clubs=[club], ttl=-10)) == ANSWERS["expired"]


async def test_who_was_thrown_out(service: Service, http: httpx.AsyncClient, club: int, user: int) -> None:
    old = token(user, clubs=[club])
    scope = bearer(1, scope="connections:write")
    assert (await http.post(f"/api/users/{user}/disconnect", headers=scope)).status_code == 204
    assert await answers(service, f"clubs/{club}", old) == ANSWERS["revoked"]


async def test_when_the_database_cannot_tell(start_service: StartService, postgres: Address, club: int) -> None:
    service, server = start_service(DATABASE_POOL_TIMEOUT="1"), postgres.database("postgres")
    server.execute(f'alter database "{service.database.name}" allow_connections false')
    server.rows("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", service.database.name)
    await eventually(lambda: service.get("/readyz").status_code == 503, "it is away")
    assert await answers(service, f"clubs/{club}", token(7)) == ANSWERS["unavailable"]
