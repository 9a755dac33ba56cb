"""Comments without a connection: `POST /api/posts/{post_id}/comments` has the effect of `new_comment`."""

import asyncio

import httpx
import pytest

from tests.engine.kit.fixture_types import Connect, Number
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer


@pytest.fixture
def post(number: Number) -> int:
    """A post nobody has commented on."""
    return number()


async def test_a_comment_is_stored_answered_and_pushed_to_everybody_on_the_post(
    service: Service, connect: Connect, http: httpx.AsyncClient, post: int, user: int
) -> None:
    reader = await connect(service, f"/ws/live-comments/{post}", user=user)
    answer = await http.post(f"/api/posts/{post}/comments", json={"body": "Grüße"}, headers=bearer(user))
    assert answer.status_code == 201
    stored = answer.json()
    assert (stored["seq"], stored["post_id"], stored["author_id"], stored["body"]) == (1, post, user, "Grüße")
    assert await reader.receive() == {"type": "comment"} | stored
    history = await http.get(f"/api/posts/{post}/comments", headers=bearer(user))
    assert history.json() == {"comments": [stored], "last_seq": 1}


async def test_the_same_client_id_stores_one_comment_however_it_comes(
    service: Service, connect: Connect, http: httpx.AsyncClient, post: int, user: int
) -> None:
    body = {"body": "once", "client_id": "a1"}
    path = f"/api/posts/{post}/comments"
    answers = await asyncio.gather(*(http.post(path, json=body, headers=bearer(user)) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [201] * 5
    writer = await connect(service, f"/ws/live-comments/{post}", user=user)
    created = await writer.ask({"type": "new_comment"} | body)
    assert {answer.json()["comment_id"] for answer in answers} == {created["comment_id"]}
    assert (await http.get(path, headers=bearer(user))).json()["last_seq"] == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"body": ""}, "invalid_request"),
        ({"body": "\0"}, "invalid_request"),
        ({"body": 7}, "invalid_request"),
        ({"body": "a", "more": 1}, "invalid_request"),
        ({"body": "a", "client_id": ""}, "invalid_request"),
        ({"body": "a" * 4001}, "invalid_message"),
    ],
)
async def test_what_is_no_comment_is_refused(
    http: httpx.AsyncClient, post: int, user: int, body: dict[str, object], code: str
) -> None:
    answer = await http.post(f"/api/posts/{post}/comments", json=body, headers=bearer(user))
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_only_users_comment(http: httpx.AsyncClient, post: int) -> None:
    answer = await http.post(f"/api/posts/{post}/comments", json={"body": "a"})
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_token")
