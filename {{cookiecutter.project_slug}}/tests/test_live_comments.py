"""Live comments: stored, answered, and told to everybody else on the post; nothing lost by who comes back."""

from typing import Any

import httpx
import pytest

from tests.engine.kit.client import Client, Message, refused
from tests.engine.kit.fixture_types import Connect, Number, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer


@pytest.fixture
def post(number: Number) -> int:
    """A post nobody has commented on."""
    return number()


async def comment(client: Client, body: str, **fields: Any) -> Message:
    """Send a comment and return the next message that comes."""
    return await client.ask({"type": "new_comment", "body": body} | fields)


async def test_a_comment_is_stored_and_its_sender_answered(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    client = await connect(service, f"/ws/live-comments/{post}", user=user)
    answer = await comment(client, "Grüße 👋", client_id="a1")
    (stored,) = service.database.rows("select id, post_id, author_id, seq, body from comments where post_id = %s", post)
    assert answer == {"type": "comment_created", "comment_id": stored[0], "seq": 1, "client_id": "a1"}
    assert stored[1:] == (post, str(user), 1, "Grüße 👋")
    assert "client_id" not in await comment(client, "without")


async def test_everybody_else_on_the_post_is_told(
    service: Service, connect: Connect, post: int, number: Number
) -> None:
    author, path = number(), f"/ws/live-comments/{post}"
    phone, laptop, reader = [await connect(service, path, user=user) for user in (author, author, number())]
    stranger = await connect(service, f"/ws/live-comments/{number()}", user=number())
    answer = await comment(phone, "hello", client_id="not told")
    told = await reader.receive()
    assert told == {
        "type": "comment",
        "comment_id": answer["comment_id"],
        "seq": 1,
        "post_id": post,
        "author_id": author,
        "body": "hello",
        "created_at": told["created_at"],
    }
    assert await laptop.receive() == told, "the author's other devices too"
    for client in (phone, stranger):
        await client.lives()


async def test_a_comment_reaches_subscribers_of_another_process(
    service: Service, shared_service: StartService, connect: Connect, post: int
) -> None:
    another = shared_service(database=service.database, MAX_COMMENT_LENGTH="5000")
    path = f"/ws/live-comments/{post}"
    writer, reader = await connect(service, path, user=1), await connect(another, path, user=2)
    for body in ("short", "😀" * 4000):
        await comment(writer, body)
        assert (await reader.receive())["body"] == body


async def test_who_comes_back_is_told_what_was_missed_first(
    service: Service, connect: Connect, http: httpx.AsyncClient, post: int, user: int
) -> None:
    path = f"/ws/live-comments/{post}"
    writer = await connect(service, path, user=user)
    for number in range(4):
        await comment(writer, f"comment {number}")
    reader = await connect(service, path, user=user, after=1)
    missed = await reader.receive_until("caught_up")
    assert [message["seq"] for message in missed] == [2, 3, 4, 4]
    await comment(writer, "live")
    assert (await reader.receive())["seq"] == 5
    answer = await http.get(f"/api/posts/{post}/comments", params={"after": 1, "limit": 2}, headers=bearer(user))
    page = answer.json()
    assert page == {"comments": [{k: v for k, v in one.items() if k != "type"} for one in missed[:2]], "last_seq": 5}


async def test_the_same_comment_again_is_stored_and_told_once(
    service: Service, connect: Connect, post: int, number: Number
) -> None:
    path, author = f"/ws/live-comments/{post}", number()
    reader = await connect(service, path, user=number())
    writers = [await connect(service, path, user=author) for _ in range(3)]
    for writer in writers:
        await writer.send({"type": "new_comment", "body": "once", "client_id": "a1"})
    answers = [(await writer.receive_until("comment_created"))[-1] for writer in writers]
    assert answers == [answers[0]] * 3
    somebody_else = await connect(service, path, user=number())
    assert (await comment(somebody_else, "mine", client_id="a1"))["seq"] == 2
    assert [message["seq"] for message in await reader.receive_many(2)] == [1, 2]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("body", {}),
        ("body", {"body": ""}),
        ("body", {"body": 7}),
        ("body", {"body": "x" * 4001}),
        ("author_id", {"body": "x", "author_id": 7}),
        ("client_id", {"body": "x", "client_id": "y" * 129}),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_stored(
    service: Service, connect: Connect, post: int, user: int, field: str, fields: dict[str, Any]
) -> None:
    client = await connect(service, f"/ws/live-comments/{post}", user=user)
    error = await client.ask({"type": "new_comment"} | fields)
    assert (error["type"], error["code"]) == ("error", "invalid_message")
    assert field in error["message"]
    assert (await comment(client, "good"))["seq"] == 1


async def test_the_greatest_length_is_a_setting(
    service: Service, shared_service: StartService, connect: Connect, post: int, user: int
) -> None:
    generous = shared_service(database=service.database, MAX_COMMENT_LENGTH="5000")
    client = await connect(generous, f"/ws/live-comments/{post}", user=user)
    assert (await comment(client, "x" * 5000))["type"] == "comment_created"
    error = await comment(client, "x" * 5001, client_id="a1")
    assert (error["code"], error["client_id"]) == ("invalid_message", "a1")


@pytest.mark.parametrize("post", ["abc", "-1", str(2**63)])
async def test_a_post_is_a_number(service: Service, http: httpx.AsyncClient, post: str) -> None:
    refusal = await refused(service.ws, f"/ws/live-comments/{post}", user=1)
    assert (refusal.status, refusal.problem["code"]) == (422, "invalid_request")
    assert (await http.get(f"/api/posts/{post}/comments", headers=bearer(1))).status_code == 422
