"""A connection lives no longer than its token, unless the client shows a newer one."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.engine.kit.client import Client
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token

AUTHENTICATED = ["/ws/letters", "/ws/rooms/1"]
WRONG: dict[str, Callable[[int], str]] = {
    "another user": lambda user: token(user + 1),
    "another key": lambda user: token(
        user, key="another key of more bytes than the longest of the algorithms asks for"
    ),
    "expired": lambda user: token(user, ttl=-1),
    "nonsense": lambda user: "nonsense",
    "no exp": lambda user: token(user, ttl=None),
}


async def expires(client: Client, exp: float) -> None:
    """The connection ends when its token does."""
    assert await client.closed() == (1008, "token expired")
    assert -0.1 < time.time() - exp < 5


async def test_at_the_end_of_its_token_a_connection_is_closed(service: Service, connect: Connect, user: int) -> None:
    exp = int(time.time()) + 4
    clients = [await connect(service, path, token=token(user, exp=exp)) for path in AUTHENTICATED]
    for client in clients:
        await client.lives()
    await asyncio.gather(*(expires(client, exp) for client in clients))


async def test_a_busy_connection_is_closed_in_time_too(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    exp = int(time.time()) + 4
    client = await connect(service, f"/ws/rooms/{room}", token=token(user, exp=exp))

    async def talk() -> None:
        while True:
            await client.send({"type": "ping"})
            await asyncio.sleep(0.05)

    talking = asyncio.create_task(talk())
    await expires(client, exp)
    await asyncio.gather(talking, return_exceptions=True)


async def test_a_newer_token_prolongs_the_connection(service: Service, connect: Connect, user: int) -> None:
    async def prolonged(path: str) -> None:
        client = await connect(service, path, token=token(user, ttl=3))
        exp = int(time.time()) + 5
        answer = await client.ask({"type": "authenticate", "token": token(user, exp=exp)})
        assert answer == {"type": "authenticated", "expires_at": answer["expires_at"]}
        assert datetime.fromisoformat(answer["expires_at"]) == datetime.fromtimestamp(exp, UTC)
        await expires(client, exp)

    await asyncio.gather(*map(prolonged, AUTHENTICATED))


async def test_a_wrong_newer_token_changes_nothing(service: Service, connect: Connect, user: int) -> None:
    async def unchanged(newer: str) -> None:
        exp = int(time.time()) + 4
        client = await connect(service, AUTHENTICATED[0], token=token(user, exp=exp))
        error = await client.ask({"type": "authenticate", "token": newer})
        assert error["type"] == "error"
        assert newer not in error["message"]
        await client.lives()
        await expires(client, exp)

    await asyncio.gather(*(unchanged(wrong(user)) for wrong in WRONG.values()))


@pytest.mark.parametrize("fields", [{}, {"token": None}, {"token": 1}, {"token": ""}, {"token": "x" * 60_000}])
async def test_an_authentication_without_a_token_is_an_error(
    service: Service, connect: Connect, user: int, fields: dict[str, Any]
) -> None:
    client = await connect(service, AUTHENTICATED[0], user=user)
    error = await client.ask({"type": "authenticate"} | fields)
    assert error["type"] == "error"
    assert "x" * 100 not in error["message"]
    await client.lives()


async def test_a_token_of_years_opens_a_connection(service: Service, connect: Connect, user: int) -> None:
    """Deadlines far beyond what a timer can hold."""
    for ttl in (10**9, 10**11):
        client = await connect(service, AUTHENTICATED[0], token=token(user, ttl=ttl))
        await client.lives()
