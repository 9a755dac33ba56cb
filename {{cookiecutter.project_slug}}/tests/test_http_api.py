"""The HTTP side: comments to read, notifications to send, and one form for every problem."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import Connect
from tests.running import Service
from tests.tokens import bearer, token

WRITER = bearer(1, scope="notifications:write")


def is_problem(answer: httpx.Response, status: int, code: str | None = None) -> bool:
    problem = answer.json()
    assert (answer.status_code, set(problem)) == (status, {"type", "code", "message"}), answer.text
    return bool(problem["type"] == "error" and problem["message"] and problem["code"] == (code or problem["code"]))


async def test_comments_are_read_in_order_and_from_a_position(
    service: Service, connect: Connect, http: httpx.AsyncClient, post: int, user: int
) -> None:
    client = await connect(service, f"/ws/live-comments/{post}", user=user)
    created = [await client.comment(f"comment {number}") for number in range(5)]
    path = f"/api/posts/{post}/comments"

    page = (await http.get(path, headers=bearer(user))).json()
    assert set(page) == {"comments", "last_seq"}
    assert page["last_seq"] == 5
    assert page["comments"][0] == {
        "comment_id": created[0]["comment_id"],
        "seq": 1,
        "post_id": post,
        "author_id": user,
        "body": "comment 0",
        "created_at": page["comments"][0]["created_at"],
    }
    assert datetime.fromisoformat(page["comments"][0]["created_at"]).utcoffset() == timedelta(0)
    assert [comment["seq"] for comment in page["comments"]] == [1, 2, 3, 4, 5]

    page = (await http.get(path, params={"after": 1, "limit": 2}, headers=bearer(user))).json()
    assert [comment["seq"] for comment in page["comments"]] == [2, 3]
    assert page["last_seq"] == 5


async def test_a_post_without_comments_has_an_empty_page(http: httpx.AsyncClient, post: int) -> None:
    answer = await http.get(f"/api/posts/{post}/comments", headers=bearer(1))
    assert answer.json() == {"comments": [], "last_seq": 0}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/posts/abc/comments", "post_id"),
        ("/api/posts/-1/comments", "post_id"),
        (f"/api/posts/{2**63}/comments", "post_id"),
        ("/api/posts/1/comments?after=-1", "after"),
        ("/api/posts/1/comments?after=x", "after"),
        ("/api/posts/1/comments?limit=0", "limit"),
        ("/api/posts/1/comments?limit=-5", "limit"),
        ("/api/posts/1/comments?limit=1000000", "limit"),
        ("/api/posts/1/comments?limit=x", "limit"),
        ("/api/notifications?after=-1", "after"),
        ("/api/notifications?limit=1001", "limit"),
    ],
)
async def test_a_wrong_parameter_is_named(http: httpx.AsyncClient, path: str, field: str) -> None:
    answer = await http.get(path, headers=bearer(1))
    assert is_problem(answer, 422)
    assert field in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/posts/1/comments"), ("GET", "/api/notifications"), ("POST", "/api/notifications")],
)
async def test_a_token_is_needed(http: httpx.AsyncClient, method: str, path: str) -> None:
    assert is_problem(await http.request(method, path), 401, "missing_token")
    wrong = await http.request(method, path, headers={"Authorization": "Bearer wrong"})
    assert is_problem(wrong, 401, "invalid_token")
    expired = await http.request(method, path, headers=bearer(1, ttl=-1))
    assert is_problem(expired, 401, "expired_token")
    for answer in (wrong, expired):
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_notification_is_stored_and_confirmed(service: Service, http: httpx.AsyncClient, user: int) -> None:
    answer = await http.post("/api/notifications", json={"user_id": user, "data": {"a": 1}}, headers=WRITER)
    assert answer.status_code == 201
    stored = service.database.rows("select seq, data, read_at from notifications where user_id::text = %s", str(user))
    assert stored == [(1, {"a": 1}, None)]


@pytest.mark.parametrize("scope", [None, "", "notifications:read", "xnotifications:write", "notifications:writer"])
async def test_notifications_need_their_scope(
    service: Service, http: httpx.AsyncClient, user: int, scope: str | None
) -> None:
    answer = await http.post("/api/notifications", json={"user_id": user, "data": {}}, headers=bearer(1, scope=scope))
    assert is_problem(answer, 403)
    assert "notifications:write" in answer.json()["message"]
    assert service.database.value("select count(*) from notifications where user_id::text = %s", str(user)) == 0


async def test_one_scope_of_several_is_enough(http: httpx.AsyncClient, user: int) -> None:
    headers = bearer(1, scope="other notifications:write connections:write")
    answer = await http.post("/api/notifications", json={"user_id": user, "data": {}}, headers=headers)
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
async def test_a_wrong_notification_is_refused(http: httpx.AsyncClient, body: object, field: str) -> None:
    answer = await http.post("/api/notifications", json=body, headers=WRITER)
    assert is_problem(answer, 422)
    assert field in answer.json()["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"NaN", b"[" * 30_000])
async def test_a_body_that_is_not_json_is_refused(http: httpx.AsyncClient, content: bytes) -> None:
    headers = WRITER | {"Content-Type": "application/json"}
    answer = await http.post("/api/notifications", content=content, headers=headers)
    assert is_problem(answer, 422)


async def test_unknown_paths_and_methods_are_problems_too(http: httpx.AsyncClient) -> None:
    assert is_problem(await http.get("/no/such/path"), 404)
    assert is_problem(await http.delete("/healthz"), 405)
    assert is_problem(await http.put("/api/notifications", headers=WRITER), 405)


async def test_a_websocket_path_asked_by_plain_http_is_no_error_of_the_server(http: httpx.AsyncClient) -> None:
    for path in ("/ws/echo", "/ws/notifications"):
        assert 400 <= (await http.get(path)).status_code < 500


async def test_a_token_in_the_query_of_an_http_request_is_not_repeated(
    http: httpx.AsyncClient, number: Callable[[], int]
) -> None:
    secret = token(number(), ttl=-1)
    answer = await http.get("/api/posts/x/comments", params={"token": secret}, headers=bearer(1))
    assert secret not in answer.text


@pytest.mark.parametrize(
    ("path", "methods"), [("/api/notifications", "GET, POST"), ("/api/tickets", "POST"), ("/healthz", "GET")]
)
async def test_a_method_that_is_none_is_told_which_there_are(http: httpx.AsyncClient, path: str, methods: str) -> None:
    answer = await http.delete(path)
    assert is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == methods
