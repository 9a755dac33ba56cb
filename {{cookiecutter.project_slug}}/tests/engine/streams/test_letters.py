"""`/ws/letters`: what is sent to a user reaches each of the user's connections and nobody else's."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import POSTMASTER, enter, send_letter

PATH = "/ws/letters"


async def test_a_letter_reaches_every_connection_of_its_user(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    clients = [await connect(service, PATH, user=user) for _ in range(3)]
    await send_letter(http, user, {"text": "Grüße 👋", "nested": {"list": [1, None]}})
    for client in clients:
        message = await client.receive()
        assert message == {
            "type": "letter",
            "id": message["id"],
            "seq": 1,
            "data": {"text": "Grüße 👋", "nested": {"list": [1, None]}},
            "created_at": message["created_at"],
        }
        created_at = datetime.fromisoformat(message["created_at"])
        assert created_at.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)


async def test_nobody_else_gets_a_users_letter(
    service: Service, connect: Connect, http: httpx.AsyncClient, number: Callable[[], int]
) -> None:
    mine, theirs = number(), number()
    other = await connect(service, PATH, user=theirs)
    await send_letter(http, mine, {"private": True})
    await send_letter(http, theirs, {"private": False})
    assert (await other.receive())["data"] == {"private": False}


async def test_numbers_count_from_one_for_each_user(
    service: Service, connect: Connect, http: httpx.AsyncClient, number: Callable[[], int]
) -> None:
    for user in (number(), number()):
        client = await connect(service, PATH, user=user)
        for _ in range(3):
            await send_letter(http, user, {})
        assert [message["seq"] for message in await client.receive_many(3)] == [1, 2, 3]


async def test_a_room_and_a_user_of_the_same_number_do_not_share_their_count(
    service: Service, connect: Connect, http: httpx.AsyncClient, number: Callable[[], int]
) -> None:
    same = number()
    writer = await connect(service, f"/ws/rooms/{same}", user=same)
    await enter(writer, "one")
    client = await connect(service, PATH, user=same)
    await send_letter(http, same, {})
    assert (await client.receive())["seq"] == 1


async def test_a_letter_too_big_for_the_database_channel_arrives_whole(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    client = await connect(service, PATH, user=user)
    data = {"text": "x" * 20_000}
    await send_letter(http, user, data)
    assert (await client.receive())["data"] == data


HUGE = [1e300, -1.5e-300, 1e16, 10**18, -0.1, 5e-324, 1.7976931348623157e308, 2**63, int("9" * 300)]


async def test_data_comes_back_as_it_was_written_and_no_longer(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    """PostgreSQL's jsonb would make 301 digits of `1e300`, and sort the keys."""
    data = {"z": HUGE, "a": {"é": "\x01 \u2028 👋", "": []}, "many": [1e300] * 5_000}
    listener = await connect(service, PATH, user=user)
    answer = await http.post("/api/letters", json={"user_id": user, "data": data}, headers=POSTMASTER)
    assert answer.status_code == 201, answer.text
    pushed = await listener.receive_raw()
    replayed = await (await connect(service, PATH, user=user, after=0)).receive_raw()
    for raw in (answer.text, pushed, replayed):
        text = str(raw)
        assert len(text) < len(json.dumps(data)) + 200
        assert json.loads(text)["data"] == data
        assert list(json.loads(text)["data"]) == list(data)
        assert text.count("1e300") + text.count("1e+300") == 5_001
    stored = service.database.value("select octet_length(data::text) from letters where user_id = %s", str(user))
    assert stored <= len(json.dumps(data))


async def test_an_ack_marks_everything_up_to_its_number_as_read(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    client = await connect(service, PATH, user=user)
    for _ in range(3):
        await send_letter(http, user, {})
    await client.receive_many(3)
    await client.send({"type": "ack", "seq": 2})

    def read() -> list[int]:
        query = "select seq from letters where user_id::text = %s and read_at is not null order by seq"
        return [row[0] for row in service.database.rows(query, str(user))]

    await eventually(lambda: read() == [1, 2], "the first two are read")
    await client.lives()


async def test_an_ack_leaves_other_users_alone(
    service: Service, connect: Connect, http: httpx.AsyncClient, number: Callable[[], int]
) -> None:
    mine, theirs = number(), number()
    for user in (mine, theirs):
        await send_letter(http, user, {})
    client = await connect(service, PATH, user=mine)
    await client.send({"type": "ack", "seq": 1})
    unread = "select count(*) from letters where user_id::text = %s and read_at is null"
    await eventually(lambda: service.database.value(unread, str(mine)) == 0, "the acknowledged one is read")
    assert service.database.value(unread, str(theirs)) == 1


async def test_an_ack_repeated_keeps_the_time_of_the_first(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    for _ in range(2):
        await send_letter(http, user, {})
    client = await connect(service, PATH, user=user)
    query = "select read_at from letters where user_id::text = %s order by seq"
    await client.send({"type": "ack", "seq": 1})
    await eventually(lambda: service.database.rows(query, str(user))[0][0], "the first is read")
    first = service.database.rows(query, str(user))[0]
    await client.send({"type": "ack", "seq": 1})
    await client.send({"type": "ack", "seq": 2})
    await eventually(lambda: service.database.rows(query, str(user))[1][0], "the second is read")
    assert service.database.rows(query, str(user))[0] == first


async def test_an_ack_reads_nothing_that_comes_after_it(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    client = await connect(service, PATH, user=user)
    await send_letter(http, user, {})
    await client.receive()
    read = "select read_at is not null from letters where user_id::text = %s order by seq"
    await client.send({"type": "ack", "seq": 10**6})
    await eventually(lambda: service.database.rows(read, str(user)) == [(True,)], "the first is read")
    await send_letter(http, user, {})
    assert (await client.receive())["seq"] == 2
    assert service.database.rows(read, str(user)) == [(True,), (False,)]


@pytest.mark.parametrize("seq", [-1, "1", 1.5, None, True, 2**63, [1]])
async def test_an_ack_needs_a_whole_number(service: Service, connect: Connect, user: int, seq: object) -> None:
    client = await connect(service, PATH, user=user)
    error = await client.ask({"type": "ack", "seq": seq})
    assert (error["type"], error["code"]) == ("error", "invalid_message")
    assert "seq" in error["message"]
    await client.lives()


async def test_what_was_missed_is_read_in_pages_and_shows_what_was_read(
    service: Service, connect: Connect, http: httpx.AsyncClient, number: Callable[[], int]
) -> None:
    mine, theirs = number(), number()
    for count in range(3):
        await send_letter(http, mine, {"number": count})
    await send_letter(http, theirs, {"private": True})
    client = await connect(service, PATH, user=mine)
    await client.send({"type": "ack", "seq": 1})
    await client.lives()

    async def page(**parameters: int) -> dict[str, Any]:
        answer = await http.get("/api/letters", params=parameters, headers=bearer(mine))
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def first_is_read() -> bool:
        return (await page())["letters"][0]["read_at"] is not None

    await eventually(first_is_read, "the first one is marked read")
    whole = await page()
    assert [(one["seq"], one["data"]["number"]) for one in whole["letters"]] == [(1, 0), (2, 1), (3, 2)]
    assert [one["read_at"] is None for one in whole["letters"]] == [False, True, True]
    assert whole["last_seq"] == 3
    assert (await page(after=1, limit=1))["letters"] == [whole["letters"][1]]
    assert await page(after=3) == {"letters": [], "last_seq": 3}
