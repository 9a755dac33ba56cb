"""`/ws/rooms/{room_id}`: an entry is stored, its sender answered, every other subscriber told."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.raw import CLOSE, TEXT, RawClient, frame
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter


def entries_of(room: int) -> str:
    return f"/ws/rooms/{room}"


async def test_the_sender_is_answered_with_the_number_of_its_entry(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, entries_of(room), user=user)
    answer = await enter(client, "first")
    assert answer == {"type": "entry_created", "entry_id": answer["entry_id"], "seq": 1}
    assert isinstance(answer["entry_id"], int)


async def test_a_client_id_comes_back_to_its_sender_alone(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    sender = await connect(service, entries_of(room), user=user)
    other = await connect(service, entries_of(room), user=user)
    assert (await enter(sender, "hello", client_id="mine"))["client_id"] == "mine"
    assert "client_id" not in await other.receive()


async def test_every_other_subscriber_gets_the_entry(
    service: Service, connect: Connect, room: int, number: Callable[[], int]
) -> None:
    author = number()
    sender = await connect(service, entries_of(room), user=author)
    others = [await connect(service, entries_of(room), user=number()) for _ in range(3)]
    answer = await enter(sender, "Grüße 👋")
    for other in others:
        entry = await other.receive()
        assert entry == {
            "type": "entry",
            "entry_id": answer["entry_id"],
            "seq": answer["seq"],
            "room_id": room,
            "author_id": author,
            "body": "Grüße 👋",
            "created_at": entry["created_at"],
        }


async def test_the_senders_other_connections_get_the_entry_too(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    phone, laptop = [await connect(service, entries_of(room), user=user) for _ in range(2)]
    answer = await enter(phone, "from my phone")
    assert (await laptop.receive())["entry_id"] == answer["entry_id"]


async def test_the_sender_does_not_get_its_own_entry(service: Service, connect: Connect, room: int, user: int) -> None:
    sender, other = [await connect(service, entries_of(room), user=user) for _ in range(2)]
    await enter(sender, "mine")
    assert (await other.receive())["body"] == "mine"
    await enter(other, "theirs")
    assert (await sender.receive())["body"] == "theirs"


async def test_another_rooms_subscribers_hear_nothing(
    service: Service, connect: Connect, user: int, number: Callable[[], int]
) -> None:
    here, there = number(), number()
    sender, second = [await connect(service, entries_of(room), user=user) for room in (here, there)]
    listener = await connect(service, entries_of(there), user=user)
    await enter(sender, "not for you")
    await enter(second, "for you")
    assert (await listener.receive())["body"] == "for you"


async def test_times_are_iso_8601_in_utc(service: Service, connect: Connect, room: int, user: int) -> None:
    sender, other = [await connect(service, entries_of(room), user=user) for _ in range(2)]
    await enter(sender, "now")
    created_at = datetime.fromisoformat((await other.receive())["created_at"])
    assert created_at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)


async def test_numbers_count_from_one_without_gaps_whoever_writes(
    service: Service, connect: Connect, room: int, number: Callable[[], int]
) -> None:
    listener = await connect(service, entries_of(room), user=number())
    authors = [await connect(service, entries_of(room), user=number()) for _ in range(10)]
    for author in authors:
        for _ in range(5):
            await author.send({"type": "new_entry", "body": "at the same time"})
    heard = await listener.receive_many(50)
    assert [entry["seq"] for entry in heard] == list(range(1, 51))
    assert len({entry["entry_id"] for entry in heard}) == 50


async def test_answers_keep_the_order_of_the_entries(service: Service, connect: Connect, room: int, user: int) -> None:
    client = await connect(service, entries_of(room), user=user)
    for number in range(20):
        await client.send({"type": "new_entry", "body": str(number), "client_id": f"c{number}"})
    answers = await client.receive_many(20)
    assert [(answer["client_id"], answer["seq"]) for answer in answers] == [(f"c{n}", n + 1) for n in range(20)]


async def test_an_entry_is_stored_before_it_is_confirmed(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, entries_of(room), user=user)
    answer = await enter(client, "kept")
    stored = service.database.rows(
        "select id, room_id, author_id::text, seq, body from entries where room_id = %s", room
    )
    assert stored == [(answer["entry_id"], room, str(user), answer["seq"], "kept")]


@pytest.mark.parametrize("body", ["'; drop table entries; --", "<script>alert(1)</script>", "\u202e\n\t", "%s {}"])
async def test_a_body_is_data_and_nothing_else(
    service: Service, connect: Connect, room: int, user: int, body: str
) -> None:
    sender, other = [await connect(service, entries_of(room), user=user) for _ in range(2)]
    await enter(sender, body)
    assert (await other.receive())["body"] == body


async def test_the_server_never_speaks_first(service: Service, connect: Connect, room: int, user: int) -> None:
    for path in (entries_of(room), "/ws/letters"):
        client = await connect(service, path, user=user)
        assert await client.ask({"type": "ping"}) == {"type": "pong"}


async def test_an_entry_sent_right_after_the_handshake_misses_no_earlier_subscriber(
    service: Service, connect: Connect, number: Callable[[], int]
) -> None:
    async def race(room: int) -> None:
        listener = await connect(service, entries_of(room), user=1)
        sender = await connect(service, entries_of(room), user=2)
        await sender.send({"type": "new_entry", "body": "quick"})
        assert (await listener.receive())["body"] == "quick"

    await asyncio.gather(*(race(number()) for _ in range(20)))


async def test_a_long_entry_reaches_subscribers_whole(service: Service, connect: Connect, room: int, user: int) -> None:
    """4,000 characters of four bytes each are twice what a NOTIFY can carry."""
    sender, other = [await connect(service, entries_of(room), user=user) for _ in range(2)]
    body = "😀" * 4000
    await enter(sender, body)
    await enter(sender, "short")
    assert [entry["body"] for entry in await other.receive_many(2)] == [body, "short"]


@pytest.mark.parametrize("at_once", [True, False], ids=["in one segment", "one after the other"])
async def test_an_entry_of_a_client_that_leaves_without_waiting_is_stored(
    service: Service, room: int, user: int, at_once: bool
) -> None:
    count = 5
    for _ in range(count):
        async with RawClient.connected(service.port, entries_of(room), token(user)) as client:
            entry, goodbye = frame(TEXT, b'{"type":"new_entry","body":"bye"}'), frame(CLOSE, b"\x03\xe8")
            for data in [entry + goodbye] if at_once else [entry, goodbye]:
                await client.send(data)
            assert await client.close_code() == 1000

    async def all_are_stored() -> bool:
        stored = "select count(*) from entries where room_id = %s"
        return bool(await asyncio.to_thread(service.database.value, stored, room) == count)

    await eventually(all_are_stored, "all are stored")


async def test_an_author_from_before_a_change_of_what_a_user_is_keeps_the_name(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int, user: int
) -> None:
    """`JWT_SUBJECT_TYPE` was `string` once."""
    service.database.execute(f"insert into streams (name, last_seq) values ('rooms/{room}', 1)")
    service.database.execute(
        f"insert into entries (room_id, seq, author_id, body, created_at) values ({room}, 1, 'alice', 'hello', now())"
    )
    page = (await http.get(f"/api/rooms/{room}/entries", headers=bearer(user))).json()
    assert [entry["author_id"] for entry in page["entries"]] == ["alice"]
    reader = await connect(service, entries_of(room), user=user, after=0)
    assert (await reader.receive())["author_id"] == "alice"
