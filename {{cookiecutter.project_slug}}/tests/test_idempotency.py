"""A comment sent twice with the same `client_id` is stored once, told once and confirmed twice."""

import asyncio
from collections.abc import Callable

from tests.conftest import Connect, StartService
from tests.running import Service
from tests.tokens import bearer


def comments_of(post: int) -> str:
    return f"/ws/live-comments/{post}"


async def test_a_comment_sent_again_gets_the_first_answer_again(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    client = await connect(service, comments_of(post), user=user)
    first = await client.comment("once", client_id="a")
    assert await client.comment("once", client_id="a") == first
    assert (await client.comment("other", client_id="b"))["seq"] == 2


async def test_a_comment_sent_again_on_another_connection_gets_the_first_answer(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    lost = await connect(service, comments_of(post), user=user)
    first = await lost.comment("once", client_id="a")
    lost.websocket.transport.abort()
    again = await connect(service, comments_of(post), user=user)
    await again.send({"type": "new_comment", "body": "once", "client_id": "a"})
    *told, answer = await again.receive_until("comment_created")  # the first one's event may still be on its way
    assert answer == first
    assert [comment["comment_id"] for comment in told] in ([], [first["comment_id"]])


async def test_subscribers_hear_of_it_once(service: Service, connect: Connect, post: int, user: int) -> None:
    sender, other = [await connect(service, comments_of(post), user=user) for _ in range(2)]
    for client_id in ("a", "a", "b"):
        await sender.comment("once", client_id=client_id)
    assert [comment["seq"] for comment in await other.receive_many(2)] == [1, 2]
    await other.lives()


async def test_one_of_many_at_once_is_stored_and_all_get_its_number(
    service: Service, shared_service: StartService, connect: Connect, post: int, user: int
) -> None:
    twin = shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100")
    clients = [await connect(where, comments_of(post), user=user) for where in (service, twin) for _ in range(8)]
    for client in clients:
        await client.send({"type": "new_comment", "body": "once", "client_id": "a"})
    answers = await asyncio.gather(*(client.receive_until("comment_created") for client in clients))
    confirmed = [messages[-1] for messages in answers]
    assert all(answer == confirmed[0] for answer in confirmed)
    assert service.database.value("select count(*) from comments where post_id = %s", post) == 1
    assert service.database.value("select max(seq) from comments where post_id = %s", post) == 1
    told = [message for messages in answers for message in messages[:-1]]
    assert all(message["comment_id"] == confirmed[0]["comment_id"] for message in told)


async def test_another_authors_comment_of_the_same_client_id_is_another_comment(
    service: Service, connect: Connect, post: int, number: Callable[[], int]
) -> None:
    mine, theirs = [await connect(service, comments_of(post), user=number()) for _ in range(2)]
    await mine.comment("mine", client_id="a")
    await theirs.receive()
    assert (await theirs.comment("theirs", client_id="a"))["seq"] == 2


async def test_the_same_client_id_on_another_post_is_another_comment(
    service: Service, connect: Connect, user: int, number: Callable[[], int]
) -> None:
    ids = set()
    for post in (number(), number()):
        client = await connect(service, comments_of(post), user=user)
        answer = await client.comment("here", client_id="a")
        assert answer["seq"] == 1
        ids.add(answer["comment_id"])
    assert len(ids) == 2


async def test_comments_without_a_client_id_are_never_taken_for_one(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    client = await connect(service, comments_of(post), user=user)
    assert [(await client.comment("same"))["seq"] for _ in range(3)] == [1, 2, 3]


async def test_a_repetition_leaves_no_gap_in_the_numbers(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    client = await connect(service, comments_of(post), user=user)
    for client_id in ("a", "a", "b", "a", "c"):
        await client.comment("text", client_id=client_id)
    page = (await asyncio.to_thread(service.get, f"/api/posts/{post}/comments", headers=bearer(user))).json()
    assert [comment["seq"] for comment in page["comments"]] == [1, 2, 3]
    assert page["last_seq"] == 3
