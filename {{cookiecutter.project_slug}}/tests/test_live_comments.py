"""`/ws/live-comments/{post_id}`: a comment is stored, its sender answered, every other subscriber told."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.conftest import Connect
from tests.raw import CLOSE, TEXT, RawClient, frame
from tests.running import Service
from tests.tokens import bearer, token
from tests.waiting import eventually


def comments_of(post: int) -> str:
    return f"/ws/live-comments/{post}"


async def test_the_sender_is_answered_with_the_number_of_its_comment(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    client = await connect(service, comments_of(post), user=user)
    answer = await client.comment("first")
    assert answer == {"type": "comment_created", "comment_id": answer["comment_id"], "seq": 1}
    assert isinstance(answer["comment_id"], int)


async def test_a_client_id_comes_back_to_its_sender_alone(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    sender = await connect(service, comments_of(post), user=user)
    other = await connect(service, comments_of(post), user=user)
    assert (await sender.comment("hello", client_id="mine"))["client_id"] == "mine"
    assert "client_id" not in await other.receive()


async def test_every_other_subscriber_gets_the_comment(
    service: Service, connect: Connect, post: int, number: Callable[[], int]
) -> None:
    author = number()
    sender = await connect(service, comments_of(post), user=author)
    others = [await connect(service, comments_of(post), user=number()) for _ in range(3)]
    answer = await sender.comment("Grüße 👋")
    for other in others:
        comment = await other.receive()
        assert comment == {
            "type": "comment",
            "comment_id": answer["comment_id"],
            "seq": answer["seq"],
            "post_id": post,
            "author_id": author,
            "body": "Grüße 👋",
            "created_at": comment["created_at"],
        }


async def test_the_senders_other_connections_get_the_comment_too(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    phone, laptop = [await connect(service, comments_of(post), user=user) for _ in range(2)]
    answer = await phone.comment("from my phone")
    assert (await laptop.receive())["comment_id"] == answer["comment_id"]


async def test_the_sender_does_not_get_its_own_comment(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    sender, other = [await connect(service, comments_of(post), user=user) for _ in range(2)]
    await sender.comment("mine")
    assert (await other.receive())["body"] == "mine"
    await other.comment("theirs")
    assert (await sender.receive())["body"] == "theirs"


async def test_another_posts_subscribers_hear_nothing(
    service: Service, connect: Connect, user: int, number: Callable[[], int]
) -> None:
    here, there = number(), number()
    sender, second = [await connect(service, comments_of(post), user=user) for post in (here, there)]
    listener = await connect(service, comments_of(there), user=user)
    await sender.comment("not for you")
    await second.comment("for you")
    assert (await listener.receive())["body"] == "for you"


async def test_times_are_iso_8601_in_utc(service: Service, connect: Connect, post: int, user: int) -> None:
    sender, other = [await connect(service, comments_of(post), user=user) for _ in range(2)]
    await sender.comment("now")
    created_at = datetime.fromisoformat((await other.receive())["created_at"])
    assert created_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)


async def test_numbers_count_from_one_without_gaps_whoever_writes(
    service: Service, connect: Connect, post: int, number: Callable[[], int]
) -> None:
    listener = await connect(service, comments_of(post), user=number())
    authors = [await connect(service, comments_of(post), user=number()) for _ in range(10)]
    for author in authors:
        for _ in range(5):
            await author.send({"type": "new_comment", "body": "at the same time"})
    heard = await listener.receive_many(50)
    assert [comment["seq"] for comment in heard] == list(range(1, 51))
    assert len({comment["comment_id"] for comment in heard}) == 50


async def test_answers_keep_the_order_of_the_comments(service: Service, connect: Connect, post: int, user: int) -> None:
    client = await connect(service, comments_of(post), user=user)
    for number in range(20):
        await client.send({"type": "new_comment", "body": str(number), "client_id": f"c{number}"})
    answers = await client.receive_many(20)
    assert [(answer["client_id"], answer["seq"]) for answer in answers] == [(f"c{n}", n + 1) for n in range(20)]


async def test_a_comment_is_stored_before_it_is_confirmed(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    client = await connect(service, comments_of(post), user=user)
    answer = await client.comment("kept")
    stored = service.database.rows(
        "select id, post_id, author_id::text, seq, body from comments where post_id = %s", post
    )
    assert stored == [(answer["comment_id"], post, str(user), answer["seq"], "kept")]


@pytest.mark.parametrize("body", ["'; drop table comments; --", "<script>alert(1)</script>", "\u202e\n\t", "%s {}"])
async def test_a_body_is_data_and_nothing_else(
    service: Service, connect: Connect, post: int, user: int, body: str
) -> None:
    sender, other = [await connect(service, comments_of(post), user=user) for _ in range(2)]
    await sender.comment(body)
    assert (await other.receive())["body"] == body


async def test_the_server_never_speaks_first(service: Service, connect: Connect, post: int, user: int) -> None:
    for path in (comments_of(post), "/ws/notifications"):
        client = await connect(service, path, user=user)
        assert await client.ask({"type": "ping"}) == {"type": "pong"}


async def test_a_comment_sent_right_after_the_handshake_misses_no_earlier_subscriber(
    service: Service, connect: Connect, number: Callable[[], int]
) -> None:
    async def race(post: int) -> None:
        listener = await connect(service, comments_of(post), user=1)
        sender = await connect(service, comments_of(post), user=2)
        await sender.send({"type": "new_comment", "body": "quick"})
        assert (await listener.receive())["body"] == "quick"

    await asyncio.gather(*(race(number()) for _ in range(20)))


async def test_a_long_comment_reaches_subscribers_whole(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    """4,000 characters of four bytes each are twice what a PostgreSQL notification can carry."""
    sender, other = [await connect(service, comments_of(post), user=user) for _ in range(2)]
    body = "😀" * 4000
    await sender.comment(body)
    await sender.comment("short")
    assert [comment["body"] for comment in await other.receive_many(2)] == [body, "short"]


@pytest.mark.parametrize("at_once", [True, False], ids=["in one segment", "one after the other"])
async def test_a_comment_of_a_client_that_leaves_without_waiting_is_stored(
    service: Service, post: int, user: int, at_once: bool
) -> None:
    count = 5
    for _ in range(count):
        async with RawClient.connected(service.port, comments_of(post), token(user)) as client:
            comment, goodbye = frame(TEXT, b'{"type":"new_comment","body":"bye"}'), frame(CLOSE, b"\x03\xe8")
            for data in [comment + goodbye] if at_once else [comment, goodbye]:
                await client.send(data)
            assert await client.close_code() == 1000

    async def all_are_stored() -> bool:
        stored = "select count(*) from comments where post_id = %s"
        return bool(await asyncio.to_thread(service.database.value, stored, post) == count)

    await eventually(all_are_stored, "all are stored")


async def test_an_author_from_before_a_change_of_what_a_user_is_keeps_the_name(
    service: Service, connect: Connect, http: httpx.AsyncClient, post: int, user: int
) -> None:
    """`JWT_SUBJECT_TYPE` was `string` once."""
    service.database.execute(f"insert into streams (name, last_seq) values ('comments:{post}', 1)")
    service.database.execute(
        f"insert into comments (post_id, seq, author_id, body, created_at) values ({post}, 1, 'alice', 'hello', now())"
    )
    page = (await http.get(f"/api/posts/{post}/comments", headers=bearer(user))).json()
    assert [comment["author_id"] for comment in page["comments"]] == ["alice"]
    reader = await connect(service, comments_of(post), user=user, after=0)
    assert (await reader.receive())["author_id"] == "alice"
