"""Every declared stream over HTTP: its history, by pages and by ETag."""

from typing import Any

import httpx
import pytest

from tests.engine.kit.fixture_types import Connect, Number
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.rooms import enter


async def get(http: httpx.AsyncClient, name: str, user: int = 1, **query: Any) -> httpx.Response:
    return await http.get(f"/api/streams/{name}", headers=bearer(user), params=query)


async def test_history_is_what_subscribers_were_sent_by_pages(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int, user: int
) -> None:
    live, writer = [await connect(service, f"/ws/rooms/{room}", user=user) for _ in range(2)]
    for number in range(5):
        await enter(writer, f"Grüße {number}")
    told = await live.receive_many(5)
    name = f"rooms/{room}"
    assert (await get(http, name)).json() == {"events": told, "last_seq": 5}
    assert (await get(http, name, after=1, limit=2)).json() == {"events": told[1:3], "last_seq": 5}
    assert (await get(http, name, after=5)).json() == {"events": [], "last_seq": 5}
    assert (await get(http, name, after=99)).json() == {"events": [], "last_seq": 5}


async def test_rows_that_do_not_travel_as_json_are_history_too(
    service: Service, connect: Connect, http: httpx.AsyncClient, number: Number
) -> None:
    club = number()
    officer = await connect(service, f"/ws/clubs/{club}", token=token(9, clubs=[club], role="officer"))
    await officer.ask({"type": "announce", "text": "hello"})
    answer = await http.get(f"/api/streams/clubs/{club}", headers=bearer(7, clubs=[club]))
    assert answer.json() == {
        "events": [{"type": "announcement", "seq": 1, "text": "hello", "price": None}],
        "last_seq": 1,
    }


async def test_what_has_not_changed_is_not_sent_again(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int, user: int
) -> None:
    writer = await connect(service, f"/ws/rooms/{room}", user=user)
    await enter(writer, "one")
    first = await get(http, f"rooms/{room}")
    assert "no-store" not in first.headers["cache-control"]
    assert "private" in first.headers["cache-control"]
    condition = bearer(1) | {"If-None-Match": f'"other", {first.headers["etag"]}'}
    again = await http.get(f"/api/streams/rooms/{room}", headers=condition)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    await enter(writer, "two")
    changed = await http.get(f"/api/streams/rooms/{room}", headers=condition)
    assert (changed.status_code, changed.json()["last_seq"]) == (200, 2)


@pytest.mark.parametrize("way", ["", "/events"])
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("rooms/07", 404, "unknown_stream"),
        ("rooms/x", 422, "invalid_request"),
        ("rooms/9223372036854775808", 422, "invalid_request"),
        ("Rooms/7", 404, "unknown_stream"),
        ("rooms%2F7%2F", 404, "unknown_stream"),
        ("unheard/7", 404, "unknown_stream"),
        ("roomz", 404, "unknown_stream"),
        ("rooms/1/2", 404, "unknown_stream"),
        ("rooms/" + "7" * 294, 422, "invalid_request"),
    ],
)
async def test_a_name_of_nothing_has_one_clear_answer(
    service: Service, http: httpx.AsyncClient, name: str, status: int, code: str, way: str
) -> None:
    answer = await get(http, name + way)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    anonymous = await http.get(f"/api/streams/{name}{way}")
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "missing_token")


@pytest.mark.parametrize("query", [{"after": "-1"}, {"after": "x"}, {"limit": 0}, {"limit": 1001}, {"after": 2**63}])
async def test_positions_and_limits_are_bounded(http: httpx.AsyncClient, query: dict[str, Any]) -> None:
    answer = await get(http, "rooms/7", **query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
