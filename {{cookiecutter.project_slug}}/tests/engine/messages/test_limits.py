"""How much one connection may ask of a process."""

import asyncio

from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter
from tests.engine.strict import BURST


async def test_over_the_rate_a_message_is_refused_and_not_processed(
    strict: Service, connect: Connect, room: int, user: int
) -> None:
    client, other = [await connect(strict, f"/ws/rooms/{room}", user=user) for _ in range(2)]
    for number in range(BURST + 3):
        await client.send({"type": "new_entry", "body": str(number), "client_id": f"c{number}"})
    answers = await client.receive_many(BURST + 3)
    assert {answer["client_id"] for answer in answers} == {f"c{number}" for number in range(BURST + 3)}
    kinds = [answer.get("code", answer["type"]) for answer in answers]
    assert kinds.count("entry_created") == BURST
    assert kinds.count("rate_limited") == 3
    stored = strict.database.value("select count(*) from entries where room_id = %s", room)
    assert stored == BURST
    assert [entry["seq"] for entry in await other.receive_many(BURST)] == list(range(1, BURST + 1))


async def test_the_rate_is_counted_for_each_connection(strict: Service, connect: Connect, room: int, user: int) -> None:
    greedy, modest = [await connect(strict, f"/ws/rooms/{room}", user=user) for _ in range(2)]
    for _ in range(BURST + 1):
        await greedy.send({"type": "new_entry", "body": "more"})
    answers = await greedy.receive_many(BURST + 1)
    assert "rate_limited" in [answer.get("code") for answer in answers]
    await modest.receive_many(BURST)
    assert (await enter(modest, "one"))["type"] == "entry_created"


async def test_who_waits_may_go_on(strict: Service, connect: Connect, room: int, user: int) -> None:
    client = await connect(strict, f"/ws/rooms/{room}", user=user)
    for _ in range(BURST + 1):
        await client.send({"type": "new_entry", "body": "more"})
    await client.receive_many(BURST + 1)

    async def accepted() -> bool:
        await asyncio.sleep(0.5)
        answer = await enter(client, "again")
        return bool(answer["type"] == "entry_created")

    await eventually(accepted, "a message is accepted again", within=5)


async def test_without_a_rate_limit_nothing_is_refused(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, f"/ws/rooms/{room}", user=user)
    for _ in range(200):
        await client.send({"type": "new_entry", "body": "again"})
    assert [answer["seq"] for answer in await client.receive_many(200)] == list(range(1, 201))
