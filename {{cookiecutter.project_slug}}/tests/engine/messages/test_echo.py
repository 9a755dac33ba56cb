"""`/ws/echo`: text comes back with a prefix, bytes come back as they are."""

import asyncio
import json

import pytest

from tests.engine.kit.client import Client
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service

ECHO = "/ws/echo"


@pytest.mark.parametrize("text", ["hello", "", " ", "Grüße 👋🏽", "line\nbreak", "\x00", '{"type":"ping"}', "Echo: "])
async def test_a_text_comes_back_with_the_prefix(service: Service, connect: Connect, text: str) -> None:
    client = await connect(service, ECHO)
    await client.send_raw(text)
    assert await client.receive_raw() == f"Echo: {text}"


@pytest.mark.parametrize("data", [b"hello", b"", bytes(range(256)), b"\xff\xfe" * 20_000])
async def test_bytes_come_back_unchanged(service: Service, connect: Connect, data: bytes) -> None:
    client = await connect(service, ECHO)
    await client.send_raw(data)
    assert await client.receive_raw() == data


async def test_answers_keep_the_order_of_the_messages(service: Service, connect: Connect) -> None:
    client = await connect(service, ECHO)
    for number in range(200):
        await client.send_raw(f"message {number}" if number % 2 else f"message {number}".encode())
    for number in range(200):
        expected = f"Echo: message {number}" if number % 2 else f"message {number}".encode()
        assert await client.receive_raw() == expected


async def test_a_message_in_fragments_is_one_message(service: Service, connect: Connect) -> None:
    client = await connect(service, ECHO)
    await client.websocket.send(["in ", "three ", "parts"])
    assert await client.receive_raw() == "Echo: in three parts"


async def test_each_client_gets_its_own_echo(service: Service, connect: Connect) -> None:
    clients = await asyncio.gather(*(connect(service, ECHO) for _ in range(20)))

    async def echo(client: Client, text: str) -> str | bytes:
        await client.send_raw(text)
        return await client.receive_raw()

    texts = [f"client {number}" for number in range(20)]
    answers = await asyncio.gather(*map(echo, clients, texts))
    assert answers == [f"Echo: {text}" for text in texts]


async def test_a_client_may_leave_with_a_close_or_without(service: Service, connect: Connect) -> None:
    polite, rude, witness = [await connect(service, ECHO) for _ in range(3)]
    await polite.close()
    assert polite.websocket.close_code == 1000
    rude.websocket.transport.abort()
    await witness.send_raw("still here")
    assert await witness.receive_raw() == "Echo: still here"


@pytest.mark.parametrize("data", [1, 1.5, "text", None, True, [], [1, [2]], {"a": {"b": None}}, "Grüße 👋", 2**70])
async def test_json_comes_back_received(service: Service, connect: Connect, data: object) -> None:
    client = await connect(service, "/ws/json")
    assert await client.ask(data) == {"received": data, "status": "ok"}


@pytest.mark.parametrize("type_", ["ping", "pong", "authenticate", "new_entry"])
async def test_on_the_json_endpoint_every_message_is_data(service: Service, connect: Connect, type_: str) -> None:
    client = await connect(service, "/ws/json")
    assert await client.ask({"type": type_}) == {"received": {"type": type_}, "status": "ok"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "nonsense", "{'a': 1}", '{"a": 1} x', "NaN", "[Infinity]", "\x00", '"\ud7ff', "[" * 30_000, "1" * 10_000],
)
async def test_what_is_not_json_is_named_and_the_connection_goes_on(
    service: Service, connect: Connect, text: str
) -> None:
    client = await connect(service, "/ws/json")
    await client.send_raw(text)
    error = await client.receive()
    assert (error["type"], error["code"]) == ("error", "invalid_json")
    assert error["message"]
    assert await client.ask({"still": "here"}) == {"received": {"still": "here"}, "status": "ok"}


@pytest.mark.parametrize("text", ['"\\ud800"', "1e400", "-1e400"])
async def test_json_that_has_no_faithful_answer_is_answered_in_valid_json(
    service: Service, connect: Connect, text: str
) -> None:
    client = await connect(service, "/ws/json")
    await client.send_raw(text)
    answer = await client.receive_raw()

    def reject(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    message = json.loads(answer, parse_constant=reject)
    assert message.get("code") == "invalid_json" or message["status"] == "ok"
    assert await client.ask([]) == {"received": [], "status": "ok"}
