"""How much one connection may ask of a process."""

import asyncio

from tests.conftest import STRICT_BURST as BURST
from tests.conftest import Connect
from tests.running import Service
from tests.waiting import eventually


async def test_over_the_rate_a_message_is_refused_and_not_processed(
    strict: Service, connect: Connect, post: int, user: int
) -> None:
    client, other = [await connect(strict, f"/ws/live-comments/{post}", user=user) for _ in range(2)]
    for number in range(BURST + 3):
        await client.send({"type": "new_comment", "body": str(number)})
    answers = await client.receive_many(BURST + 3)
    kinds = [answer.get("code", answer["type"]) for answer in answers]
    assert kinds.count("comment_created") == BURST
    assert kinds.count("rate_limited") == 3
    stored = strict.database.value("select count(*) from comments where post_id = %s", post)
    assert stored == BURST
    assert [comment["seq"] for comment in await other.receive_many(BURST)] == list(range(1, BURST + 1))


async def test_the_rate_is_counted_for_each_connection(strict: Service, connect: Connect, post: int, user: int) -> None:
    greedy, modest = [await connect(strict, f"/ws/live-comments/{post}", user=user) for _ in range(2)]
    for _ in range(BURST + 1):
        await greedy.send({"type": "new_comment", "body": "more"})
    answers = await greedy.receive_many(BURST + 1)
    assert "rate_limited" in [answer.get("code") for answer in answers]
    await modest.receive_many(BURST)
    assert (await modest.comment("one"))["type"] == "comment_created"


async def test_who_waits_may_go_on(strict: Service, connect: Connect, post: int, user: int) -> None:
    client = await connect(strict, f"/ws/live-comments/{post}", user=user)
    for _ in range(BURST + 1):
        await client.send({"type": "new_comment", "body": "more"})
    await client.receive_many(BURST + 1)

    async def accepted() -> bool:
        await asyncio.sleep(0.5)
        answer = await client.comment("again")
        return bool(answer["type"] == "comment_created")

    await eventually(accepted, "a message is accepted again", within=5)


async def test_without_a_rate_limit_nothing_is_refused(
    service: Service, connect: Connect, post: int, user: int
) -> None:
    client = await connect(service, f"/ws/live-comments/{post}", user=user)
    for _ in range(200):
        await client.send({"type": "new_comment", "body": "again"})
    assert [answer["seq"] for answer in await client.receive_many(200)] == list(range(1, 201))
