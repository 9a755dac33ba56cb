"""The HTTP side: entries to read, letters to send, and one form for every problem."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.rooms import enter

WRITER = bearer(1, scope="letters:write")


def is_problem(answer: httpx.Response, status: int, code: str | None = None) -> bool:
    problem = answer.json()
    assert (answer.status_code, set(problem)) == (status, {"type", "code", "message"}), answer.text
    return bool(problem["type"] == "error" and problem["message"] and problem["code"] == (code or problem["code"]))


async def test_entries_are_read_in_order_and_from_a_position(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int, user: int
) -> None:
    client = await connect(service, f"/ws/rooms/{room}", user=user)
    created = [await enter(client, f"entry {number}") for number in range(5)]
    path = f"/api/rooms/{room}/entries"

    page = (await http.get(path, headers=bearer(user))).json()
    assert set(page) == {"entries", "last_seq"}
    assert page["last_seq"] == 5
    assert page["entries"][0] == {
        "entry_id": created[0]["entry_id"],
        "seq": 1,
        "room_id": room,
        "author_id": user,
        "body": "entry 0",
        "created_at": page["entries"][0]["created_at"],
    }
    assert datetime.fromisoformat(page["entries"][0]["created_at"]).utcoffset() == timedelta(0)
    assert [entry["seq"] for entry in page["entries"]] == [1, 2, 3, 4, 5]

    page = (await http.get(path, params={"after": 1, "limit": 2}, headers=bearer(user))).json()
    assert [entry["seq"] for entry in page["entries"]] == [2, 3]
    assert page["last_seq"] == 5


async def test_a_room_without_entries_has_an_empty_page(http: httpx.AsyncClient, room: int) -> None:
    answer = await http.get(f"/api/rooms/{room}/entries", headers=bearer(1))
    assert answer.json() == {"entries": [], "last_seq": 0}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/rooms/abc/entries", "room_id"),
        ("/api/rooms/-1/entries", "room_id"),
        (f"/api/rooms/{2**63}/entries", "room_id"),
        ("/api/rooms/1/entries?after=-1", "after"),
        ("/api/rooms/1/entries?after=x", "after"),
        ("/api/rooms/1/entries?limit=0", "limit"),
        ("/api/rooms/1/entries?limit=-5", "limit"),
        ("/api/rooms/1/entries?limit=1000000", "limit"),
        ("/api/rooms/1/entries?limit=x", "limit"),
        ("/api/letters?after=-1", "after"),
        ("/api/letters?limit=1001", "limit"),
    ],
)
async def test_a_wrong_parameter_is_named(http: httpx.AsyncClient, path: str, field: str) -> None:
    answer = await http.get(path, headers=bearer(1))
    assert is_problem(answer, 422)
    assert field in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/rooms/1/entries"), ("GET", "/api/letters"), ("POST", "/api/letters")],
)
async def test_a_token_is_needed(http: httpx.AsyncClient, method: str, path: str) -> None:
    assert is_problem(await http.request(method, path), 401, "missing_token")
    wrong = await http.request(method, path, headers={"Authorization": "Bearer wrong"})
    assert is_problem(wrong, 401, "invalid_token")
    expired = await http.request(method, path, headers=bearer(1, ttl=-1))
    assert is_problem(expired, 401, "expired_token")
    for answer in (wrong, expired):
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_letter_is_stored_and_confirmed(service: Service, http: httpx.AsyncClient, user: int) -> None:
    answer = await http.post("/api/letters", json={"user_id": user, "data": {"a": 1}}, headers=WRITER)
    assert answer.status_code == 201
    stored = service.database.rows("select seq, data, read_at from letters where user_id::text = %s", str(user))
    assert stored == [(1, {"a": 1}, None)]


@pytest.mark.parametrize("scope", [None, "", "letters:read", "xletters:write", "letters:writer"])
async def test_letters_need_their_scope(
    service: Service, http: httpx.AsyncClient, user: int, scope: str | None
) -> None:
    answer = await http.post("/api/letters", json={"user_id": user, "data": {}}, headers=bearer(1, scope=scope))
    assert is_problem(answer, 403)
    assert "letters:write" in answer.json()["message"]
    assert service.database.value("select count(*) from letters where user_id::text = %s", str(user)) == 0


async def test_one_scope_of_several_is_enough(http: httpx.AsyncClient, user: int) -> None:
    headers = bearer(1, scope="other letters:write connections:write")
    answer = await http.post("/api/letters", json={"user_id": user, "data": {}}, headers=headers)
    assert answer.status_code == 201


WRONG_BODIES: list[tuple[Any, str]] = [
    ({"data": {}}, "user_id"),
    ({"user_id": "abc", "data": {}}, "user_id"),
    ({"user_id": -1, "data": {}}, "user_id"),
    ({"user_id": 2**63, "data": {}}, "user_id"),
    ({"user_id": None, "data": {}}, "user_id"),
    ({"user_id": 1}, "data"),
    ({"user_id": 1, "data": "text"}, "data"),
    ({"user_id": 1, "data": [1]}, "data"),
    ({"user_id": 1, "data": {"nul": "\x00"}}, "data"),
    ({"user_id": 1, "data": {"nul \x00": 1}}, "data"),
    ([], ""),
    (None, ""),
]


@pytest.mark.parametrize(("body", "field"), WRONG_BODIES)
async def test_a_wrong_letter_is_refused(http: httpx.AsyncClient, body: object, field: str) -> None:
    answer = await http.post("/api/letters", json=body, headers=WRITER)
    assert is_problem(answer, 422)
    assert field in answer.json()["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"NaN", b"[" * 30_000])
async def test_a_body_that_is_not_json_is_refused(http: httpx.AsyncClient, content: bytes) -> None:
    headers = WRITER | {"Content-Type": "application/json"}
    answer = await http.post("/api/letters", content=content, headers=headers)
    assert is_problem(answer, 422)


async def test_unknown_paths_and_methods_are_problems_too(http: httpx.AsyncClient) -> None:
    assert is_problem(await http.get("/no/such/path"), 404)
    assert is_problem(await http.delete("/healthz"), 405)
    assert is_problem(await http.put("/api/letters", headers=WRITER), 405)


async def test_a_websocket_path_asked_by_plain_http_is_no_error_of_the_server(http: httpx.AsyncClient) -> None:
    for path in ("/ws/echo", "/ws/letters"):
        assert 400 <= (await http.get(path)).status_code < 500


async def test_a_token_in_the_query_of_an_http_request_is_not_repeated(
    http: httpx.AsyncClient, number: Callable[[], int]
) -> None:
    secret = token(number(), ttl=-1)
    answer = await http.get("/api/rooms/x/entries", params={"token": secret}, headers=bearer(1))
    assert secret not in answer.text


@pytest.mark.parametrize(
    ("path", "methods"), [("/api/letters", "GET, HEAD, POST"), ("/api/tickets", "POST"), ("/healthz", "GET, HEAD")]
)
async def test_a_method_that_is_none_is_told_which_there_are(http: httpx.AsyncClient, path: str, methods: str) -> None:
    answer = await http.delete(path)
    assert is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == methods
