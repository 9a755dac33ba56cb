"""`/ws/ping`: for whoever only wants to know whether the way in works. It takes no messages."""

from typing import Any

import pytest

from tests.engine.kit.client import refused
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token

PATH = "/ws/ping"


async def test_any_valid_token_gets_an_answer(service: Service, connect: Connect, user: int) -> None:
    for options in ({"user": user}, {"token": token(user, scope="anything")}, {"token": token(user, role="monitor")}):
        client = await connect(service, PATH, **options)
        await client.lives()


async def test_it_is_there_where_the_demo_is_off(strict: Service, connect: Connect, user: int) -> None:
    await (await connect(strict, PATH, user=user)).lives()


async def test_without_a_token_there_is_no_way_in(service: Service) -> None:
    assert (await refused(service.ws, PATH)).reason == (401, "missing_token", 1008)


async def test_a_newer_token_is_taken(service: Service, connect: Connect, user: int) -> None:
    client = await connect(service, PATH, user=user)
    answer = await client.ask({"type": "authenticate", "token": token(user, ttl=7200)})
    assert answer["type"] == "authenticated"
    await client.lives()


@pytest.mark.parametrize("message", [{"type": "new_entry", "body": "x"}, {"type": "anything"}, {}, [], 7, None])
async def test_any_other_message_is_refused_as_bad(service: Service, connect: Connect, user: int, message: Any) -> None:
    client = await connect(service, PATH, user=user)
    error = await client.ask(message)
    assert (error["type"], error["code"]) == ("error", "invalid_message")
    for _ in range(9):
        await client.send(message)
    assert await client.closed() == (1008, "too many bad messages in a row")
