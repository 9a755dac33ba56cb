"""Notifications: what is sent to a user reaches each of the user's connections, and nobody else's."""

from typing import Any

import httpx
import pytest

from tests.engine.kit.fixture_types import Connect, Number
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.kit.waiting import eventually

PATH = "/ws/notifications"
WRITER = bearer(1, scope="notifications:write")


async def notify(http: httpx.AsyncClient, user: int, data: dict[str, Any]) -> dict[str, Any]:
    """Send a notification; what is answered."""
    answer = await http.post("/api/notifications", json={"user_id": user, "data": data}, headers=WRITER)
    assert answer.status_code == 201, answer.text
    stored: dict[str, Any] = answer.json()
    return stored


async def test_a_notification_reaches_every_connection_of_its_user_and_nobody_else(
    service: Service, connect: Connect, http: httpx.AsyncClient, number: Number
) -> None:
    mine, theirs = number(), number()
    clients = [await connect(service, PATH, user=mine) for _ in range(2)]
    stranger = await connect(service, PATH, user=theirs)
    stored = await notify(http, mine, {"text": "Grüße 👋", "nested": {"list": [1, None]}})
    for client in clients:
        assert await client.receive() == {"type": "notification"} | stored
    assert (stored["seq"], stored["data"]["nested"]) == (1, {"list": [1, None]})
    await stranger.lives()


async def test_an_ack_marks_everything_up_to_its_number_as_read(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int, number: Number
) -> None:
    other = number()
    for whom in (user, user, user, other):
        await notify(http, whom, {})
    client = await connect(service, PATH, user=user)
    await client.send({"type": "ack", "seq": 2})

    async def read(whom: int) -> list[bool]:
        page = (await http.get("/api/notifications", headers=bearer(whom))).json()
        return [one["read_at"] is not None for one in page["notifications"]]

    async def two_are_read() -> bool:
        return await read(user) == [True, True, False]

    await eventually(two_are_read, "the first two are read")
    assert await read(other) == [False], "nobody else's"
    await client.lives()


async def test_what_was_missed_comes_first_whether_it_was_read_or_not(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    for count in range(3):
        await notify(http, user, {"count": count})
    first = await connect(service, PATH, user=user)
    await first.send({"type": "ack", "seq": 3})
    await first.lives()
    client = await connect(service, PATH, user=user, after=1)
    missed = await client.receive_until("caught_up")
    assert [message.get("data") for message in missed] == [{"count": 1}, {"count": 2}, None]
    page = await http.get("/api/notifications", params={"after": 1, "limit": 1}, headers=bearer(user))
    assert [one["seq"] for one in page.json()["notifications"]] == [2]
    assert page.json()["last_seq"] == 3


async def test_data_comes_back_as_it_was_written(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    """Larger than a NOTIFY can carry, keys in their order, numbers as they were: the column is json, not jsonb."""
    data = {"z": [1e300, 5e-324, 2**63, -0.1], "a": {"é": "\x01 👋", "": []}, "text": "x" * 20_000}
    client = await connect(service, PATH, user=user)
    stored = await notify(http, user, data)
    replayed = await (await connect(service, PATH, user=user, after=0)).receive()
    for message in (stored, await client.receive(), replayed):
        assert message["data"] == data
        assert list(message["data"]) == list(data)


@pytest.mark.parametrize("scope", [None, "notifications:read", "connections:write"])
async def test_notifying_takes_the_scope(http: httpx.AsyncClient, user: int, scope: str | None) -> None:
    headers = bearer(1, scope=scope)
    answer = await http.post("/api/notifications", json={"user_id": user, "data": {}}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert (await http.get("/api/notifications", headers=bearer(user))).json()["last_seq"] == 0


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("user_id", {"data": {}}),
        ("user_id", {"user_id": "abc", "data": {}}),
        ("user_id", {"user_id": -1, "data": {}}),
        ("data", {"user_id": 1}),
        ("data", {"user_id": 1, "data": "text"}),
        ("data", {"user_id": 1, "data": {"nul": "\x00"}}),
    ],
)
async def test_a_wrong_notification_is_refused(http: httpx.AsyncClient, field: str, body: dict[str, Any]) -> None:
    answer = await http.post("/api/notifications", json=body, headers=WRITER)
    assert answer.status_code == 422
    assert field in answer.json()["message"]


@pytest.mark.parametrize("seq", [-1, 0, "1", None, True])
async def test_an_ack_needs_a_position(service: Service, connect: Connect, user: int, seq: object) -> None:
    client = await connect(service, PATH, user=user)
    error = await client.ask({"type": "ack", "seq": seq})
    assert (error["code"], "seq" in error["message"]) == ("invalid_message", True)
