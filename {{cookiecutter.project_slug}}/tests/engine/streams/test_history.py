"""`?after=n`: everything missed since `n`, then `caught_up`, then live: none lost, none twice, in order."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.engine.kit.client import Client, connected
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.rooms import enter


def entries_of(room: int) -> str:
    return f"/ws/rooms/{room}"


async def write(client: Client, count: int) -> None:
    """Have `count` entries stored."""
    for number in range(count):
        await client.send({"type": "new_entry", "body": f"entry {number}"})
    for _ in range(count):
        assert (await client.receive(30))["type"] == "entry_created"


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [message["seq"] for message in messages]


@pytest.mark.parametrize("after", [0, 1, 3, 4])
async def test_what_was_missed_comes_first_and_then_the_end_of_it(
    service: Service, connect: Connect, room: int, user: int, after: int
) -> None:
    await write(await connect(service, entries_of(room), user=user), 5)
    client = await connect(service, entries_of(room), user=user, after=after)
    missed = await client.receive_until("caught_up")
    assert numbers(missed[:-1]) == list(range(after + 1, 6))
    assert missed[-1] == {"type": "caught_up", "seq": 5}
    await client.lives()


async def test_history_is_told_in_the_words_of_live_messages(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    live, sender = [await connect(service, entries_of(room), user=user) for _ in range(2)]
    await enter(sender, "Grüße", client_id="not told")
    told = await live.receive()
    late = await connect(service, entries_of(room), user=user, after=0)
    assert await late.receive() == told


async def test_who_missed_nothing_is_told_so_at_once(service: Service, connect: Connect, room: int, user: int) -> None:
    empty = await connect(service, entries_of(room), user=user, after=0)
    assert await empty.receive() == {"type": "caught_up", "seq": 0}
    await write(empty, 2)
    client = await connect(service, entries_of(room), user=user, after=2)
    assert await client.receive() == {"type": "caught_up", "seq": 2}


async def test_without_a_position_there_is_no_history(service: Service, connect: Connect, room: int, user: int) -> None:
    reader = await connect(service, entries_of(room), user=user)
    await write(await connect(service, entries_of(room), user=user), 2)
    await reader.receive_many(2)  # they are on their way no longer
    client = await connect(service, entries_of(room), user=user)
    await client.lives()


async def test_ones_own_entries_are_part_of_history(service: Service, connect: Connect, room: int, user: int) -> None:
    client = await connect(service, entries_of(room), user=user, after=0)
    await client.receive_until("caught_up")
    answer = await enter(client, "mine")
    again = await connect(service, entries_of(room), user=user, after=0)
    assert (await again.receive())["entry_id"] == answer["entry_id"]


async def test_live_messages_follow_history_without_a_seam(
    service: Service, connect: Connect, room: int, number: Callable[[], int]
) -> None:
    """Clients join while others write: each must see one unbroken count."""
    total, writers = 240, 3
    authors = [await connect(service, entries_of(room), user=number()) for _ in range(writers)]
    writing = asyncio.gather(*(write_slowly(author, total // writers) for author in authors))
    readers = []
    for _ in range(12):
        readers.append(await connect(service, entries_of(room), user=number(), after=0))
        await asyncio.sleep(0)
    for reader in readers:
        seen: list[int] = []
        caught_up = 0
        while not seen or seen[-1] < total or not caught_up:
            message = await reader.receive()
            if message["type"] == "caught_up":
                caught_up += 1
                assert message["seq"] == (seen[-1] if seen else 0)
            else:
                seen.append(message["seq"])
        assert seen == list(range(1, total + 1))
        assert caught_up == 1
    await writing


async def write_slowly(client: Client, count: int) -> None:
    """Write one entry after another, reading all that comes in between."""
    for _ in range(count):
        await client.send({"type": "new_entry", "body": "x"})
        await client.receive_until("entry_created")


async def test_more_than_a_thousand_missed_are_a_gap_to_fetch_by_http(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int, user: int
) -> None:
    await write(await connect(service, entries_of(room), user=user), 1001)
    far = await connect(service, entries_of(room), user=user, after=0)
    assert await far.receive() == {"type": "history_gap", "after": 0, "seq": 1001}
    near = await connect(service, entries_of(room), user=user, after=1)
    missed = await near.receive_until("caught_up")
    assert numbers(missed) == [*range(2, 1002), 1001]
    assert (await enter(far, "still live"))["seq"] == 1002
    assert (await near.receive())["seq"] == 1002

    fetched: list[int] = []
    while len(fetched) < 1002:
        parameters = {"after": fetched[-1] if fetched else 0}
        page = (await http.get(f"/api/rooms/{room}/entries", params=parameters, headers=bearer(user))).json()
        assert page["last_seq"] == 1002
        fetched += numbers(page["entries"])
    assert fetched == list(range(1, 1003))


async def test_letters_have_a_history_too(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    headers = bearer(1, scope="letters:write")
    for number in range(3):
        body = {"user_id": user, "data": {"number": number}}
        assert (await http.post("/api/letters", json=body, headers=headers)).status_code == 201
    client = await connect(service, "/ws/letters", user=user, after=1)
    missed = await client.receive_until("caught_up")
    assert [message.get("data") for message in missed] == [{"number": 1}, {"number": 2}, None]
    assert missed[-1] == {"type": "caught_up", "seq": 3}


async def test_an_acknowledged_letter_is_still_history(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    headers = bearer(1, scope="letters:write")
    await http.post("/api/letters", json={"user_id": user, "data": {}}, headers=headers)
    client = await connect(service, "/ws/letters", user=user)
    await client.send({"type": "ack", "seq": 1})
    await client.lives()
    again = await connect(service, "/ws/letters", user=user, after=0)
    assert [message["seq"] for message in await again.receive_until("caught_up")] == [1, 1]


async def test_a_position_in_the_future_gets_what_comes_and_nothing_twice(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    """A client may come with a position of another database: it must not wait for ever without a word."""
    sender = await connect(service, entries_of(room), user=user)
    await write(sender, 2)
    client = await connect(service, entries_of(room), user=user, after=100)
    assert await client.receive() == {"type": "caught_up", "seq": 2}
    await enter(sender, "new")
    assert (await client.receive())["seq"] == 3


async def test_history_has_whatever_was_confirmed_to_anybody_before(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    """Even when the news of it is still on its way to the process."""
    writer = await connect(service, entries_of(room), user=user)
    for seq in range(1, 21):
        await enter(writer, "written")
        async with connected(service.ws, entries_of(room), user=user, after=seq - 1) as reader:
            assert [message["seq"] for message in await reader.receive_until("caught_up")] == [seq, seq]
