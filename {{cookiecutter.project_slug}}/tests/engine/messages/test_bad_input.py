"""Bad input ends neither the process nor another connection nor, at first, the connection it came on."""

import asyncio
import json
from typing import Any

import pytest

from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.raw import TEXT, RawClient, frame
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.rooms import enter

AUTHENTICATED = ["/ws/letters", "/ws/rooms/1"]
NOT_JSON = ["", "nonsense", "{", "NaN", "'a'", "\x00", "[" * 30_000, '{"type":"ping"}{"type":"ping"}', "1" * 10_000]
NO_MESSAGE: list[Any] = [1, "ping", None, True, [], [{"type": "ping"}], {}, {"type": None}, {"type": "no_such"}]
NO_MESSAGE += [{"type": ["ping"]}, {"type": {"ping": 1}}, {"type": "PING"}, {"Type": "ping"}, {"type": "caught_up"}]
NO_ENTRY: list[tuple[str, dict[str, Any]]] = [
    ("body", {}),
    ("body", {"body": None}),
    ("body", {"body": 1}),
    ("body", {"body": ["text"]}),
    ("body", {"body": ""}),
    ("body", {"body": "x" * 4001}),
    ("body", {"body": "nul \x00 character"}),
    ("client_id", {"body": "x", "client_id": 1}),
    ("client_id", {"body": "x", "client_id": {}}),
    ("client_id", {"body": "x", "client_id": "y" * 10_000}),
    ("client_id", {"body": "x", "client_id": "nul \x00"}),
    ("author_id", {"body": "x", "author_id": 7}),
    ("seq", {"body": "x", "seq": 1}),
]


def is_error(message: dict[str, Any], code: str) -> bool:
    return set(message) == {"type", "code", "message"} and (message["type"], message["code"]) == ("error", code)


@pytest.mark.parametrize("path", AUTHENTICATED)
@pytest.mark.parametrize("text", NOT_JSON)
async def test_what_is_not_json_is_named(service: Service, connect: Connect, user: int, path: str, text: str) -> None:
    client = await connect(service, path, user=user)
    await client.send_raw(text)
    assert is_error(await client.receive(), "invalid_json")
    await client.lives()


@pytest.mark.parametrize("path", AUTHENTICATED)
@pytest.mark.parametrize("message", NO_MESSAGE)
async def test_an_unknown_message_is_named(
    service: Service, connect: Connect, user: int, path: str, message: object
) -> None:
    client = await connect(service, path, user=user)
    error = await client.ask(message)
    assert is_error(error, "invalid_message")
    assert error["message"]
    await client.lives()


@pytest.mark.parametrize(("field", "fields"), NO_ENTRY)
async def test_a_wrong_field_of_an_entry_is_named_and_nothing_stored(
    service: Service, connect: Connect, room: int, user: int, field: str, fields: dict[str, Any]
) -> None:
    client, other = [await connect(service, f"/ws/rooms/{room}", user=user) for _ in range(2)]
    error = await client.ask({"type": "new_entry"} | fields)
    assert is_error(error, "invalid_message")
    assert field in error["message"]
    assert (await enter(client, "good"))["seq"] == 1
    assert (await other.receive())["body"] == "good"


UNPROCESSED: list[tuple[str, dict[str, Any]]] = [
    ("invalid_message", {"type": "new_entry"}),
    ("invalid_message", {"type": "new_entry", "body": 1}),
    ("invalid_message", {"type": "new_entry", "body": "x", "more": 1}),
    ("invalid_message", {"type": "no_such"}),
    ("invalid_message", {"type": "ack", "seq": 1}),
    ("invalid_message", {}),
    ("invalid_message", {"type": "new_entry", "body": "x" * 4001}),
]


@pytest.mark.parametrize(("code", "message"), UNPROCESSED, ids=lambda value: str(value)[:40])
async def test_whatever_answers_a_message_carries_its_client_id(
    service: Service, connect: Connect, user: int, code: str, message: dict[str, Any]
) -> None:
    """Whether the parser refuses it or the operation."""
    client = await connect(service, "/ws/rooms/1", user=user)
    for client_id in ("a1", "Grüße 👋", "x" * 128):
        error = await client.ask(message | {"client_id": client_id})
        assert (error["code"], error["client_id"]) == (code, client_id)


@pytest.mark.parametrize("client_id", [None, 1, "", "x" * 129, ["a"], {"a": 1}, "nul \x00"])
async def test_a_client_id_that_is_none_is_not_repeated(
    service: Service, connect: Connect, user: int, client_id: object
) -> None:
    client = await connect(service, "/ws/rooms/1", user=user)
    assert is_error(await client.ask({"type": "no_such", "client_id": client_id}), "invalid_message")


async def test_half_a_surrogate_pair_is_an_error_like_any_other(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    """Valid by JSON's grammar, but no text that could be stored or sent on."""
    client = await connect(service, f"/ws/rooms/{room}", user=user)
    error = await enter(client, "half a pair \ud800")
    assert is_error(error, "invalid_json") or is_error(error, "invalid_message")
    await client.lives()


async def test_an_error_does_not_repeat_a_long_input(service: Service, connect: Connect, room: int, user: int) -> None:
    client = await connect(service, f"/ws/rooms/{room}", user=user)
    assert len((await enter(client, "secret" * 5000))["message"]) < 500
    assert len((await client.ask({"type": "t" * 50_000}))["message"]) < 500


async def test_an_entry_of_the_greatest_length_is_stored(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, f"/ws/rooms/{room}", user=user)
    assert (await enter(client, "x" * 4000))["type"] == "entry_created"


async def test_an_unknown_field_of_an_ack_is_named(service: Service, connect: Connect, user: int) -> None:
    client = await connect(service, "/ws/letters", user=user)
    error = await client.ask({"type": "ack", "seq": 1, "all": True})
    assert is_error(error, "invalid_message")
    assert "all" in error["message"]


@pytest.mark.parametrize("wrong", ["nonsense", '{"type":"no_such"}'])
@pytest.mark.parametrize("path", [*AUTHENTICATED, "/ws/json"])
async def test_ten_bad_messages_in_a_row_end_the_connection(
    service: Service, connect: Connect, user: int, path: str, wrong: str
) -> None:
    client = await connect(service, path, user=user)
    bad = "nonsense" if path == "/ws/json" else wrong
    for _ in range(9):
        await client.send_raw(bad)
    assert all(error["type"] == "error" for error in await client.receive_many(9))
    await client.send_raw(bad)
    code, reason = await client.closed()
    assert code == 1008
    assert reason


async def test_bad_messages_of_different_kinds_in_a_row_end_the_connection(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, f"/ws/rooms/{room}", user=user)
    for number in range(10):
        await client.send_raw("nonsense" if number % 2 else '{"type":"new_entry","body":1}')
        assert (await client.receive())["type"] == "error"
    assert (await client.closed())[0] == 1008


async def test_what_an_operation_refuses_is_no_bad_message_however_often(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, f"/ws/rooms/{room}", user=user)
    for number in range(20):
        error = await enter(client, "x" * 4001, client_id=f"c{number}")
        assert (error["code"], error["client_id"]) == ("invalid_message", f"c{number}")
    await client.lives()


async def test_what_an_operation_refuses_forgives_the_bad_messages_before(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, f"/ws/rooms/{room}", user=user)
    for _ in range(3):
        for _ in range(9):
            await client.send_raw("nonsense")
        await client.receive_many(9)
        assert (await enter(client, "x" * 4001))["code"] == "invalid_message"
    await client.lives()


async def test_a_good_message_in_the_middle_of_a_burst_is_processed_and_forgives(
    service: Service, room: int, user: int
) -> None:
    bad, good = frame(TEXT, b"{"), frame(TEXT, b'{"type":"new_entry","body":"good"}')
    async with RawClient.connected(service.port, f"/ws/rooms/{room}", token(user)) as client:
        await client.send(bad * 9 + good + bad)
        answers = [json.loads((await client.read_frame())[1])["type"] for _ in range(11)]
        assert sorted(answers) == ["entry_created", *["error"] * 10]
        await client.send_frame(TEXT, b'{"type":"ping"}')
        assert await client.read_frame() == (TEXT, b'{"type":"pong"}')


async def test_a_good_message_forgives_the_bad_ones_before(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, f"/ws/rooms/{room}", user=user)
    for round_ in range(3):
        for _ in range(9):
            await client.send_raw("nonsense")
        await client.receive_many(9)
        assert (await enter(client, "good"))["seq"] == round_ + 1


@pytest.mark.parametrize("path", [*AUTHENTICATED, "/ws/json"])
async def test_a_binary_frame_on_a_json_endpoint_ends_it_with_1003(
    service: Service, connect: Connect, user: int, path: str
) -> None:
    client = await connect(service, path, user=user)
    await client.send_raw(b'{"type":"ping"}')
    assert (await client.closed())[0] == 1003


async def test_a_message_over_the_limit_ends_the_connection_with_1009(
    service: Service, connect: Connect, user: int
) -> None:
    whole, parts, wide = "x" * 65_537, ["x" * 40_000, "x" * 40_000], "é" * 32_769

    async def code_after(path: str, message: str | list[str]) -> int:
        client = await connect(service, path, user=user)
        await client.websocket.send(message)
        return (await client.closed())[0]

    paths = [*AUTHENTICATED, "/ws/json", "/ws/echo"]
    codes = await asyncio.gather(*(code_after(path, message) for path in paths for message in (whole, parts, wide)))
    assert set(codes) == {1009}


async def test_a_message_of_the_greatest_size_is_handled(service: Service, connect: Connect) -> None:
    client = await connect(service, "/ws/echo")
    await client.send_raw("x" * 65_536)
    assert await client.receive_raw() == "Echo: " + "x" * 65_536


async def test_one_clients_bad_input_is_nobody_elses_trouble(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    path = f"/ws/rooms/{room}"
    witness, first, second, third = [await connect(service, path, user=user) for _ in range(4)]
    for _ in range(10):
        await first.send_raw("nonsense")
    await second.send_raw(b"binary")
    await third.send_raw("x" * 70_000)
    assert [code for code, _ in await asyncio.gather(first.closed(), second.closed(), third.closed())] == [
        1008,
        1003,
        1009,
    ]
    await witness.lives()
    assert (await enter(witness, "fine"))["seq"] == 1


async def test_the_limits_are_settings(strict: Service, connect: Connect, room: int, user: int) -> None:
    client = await connect(strict, f"/ws/rooms/{room}", user=user)
    assert (await enter(client, "x" * 10))["type"] == "entry_created"
    assert is_error(await enter(client, "x" * 11), "invalid_message")
    await client.send_raw(" " * 1001)
    assert (await client.closed())[0] == 1009
