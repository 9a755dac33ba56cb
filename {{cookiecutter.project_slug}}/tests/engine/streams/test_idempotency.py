"""An entry sent twice with the same `client_id` is stored once, told once and confirmed twice."""

import asyncio
from collections.abc import Callable

from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.rooms import enter


def entries_of(room: int) -> str:
    return f"/ws/rooms/{room}"


async def test_an_entry_sent_again_gets_the_first_answer_again(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, entries_of(room), user=user)
    first = await enter(client, "once", client_id="a")
    assert await enter(client, "once", client_id="a") == first
    assert (await enter(client, "other", client_id="b"))["seq"] == 2


async def test_an_entry_sent_again_on_another_connection_gets_the_first_answer(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    lost = await connect(service, entries_of(room), user=user)
    first = await enter(lost, "once", client_id="a")
    lost.websocket.transport.abort()
    again = await connect(service, entries_of(room), user=user)
    await again.send({"type": "new_entry", "body": "once", "client_id": "a"})
    *told, answer = await again.receive_until("entry_created")  # the first one's event may still be on its way
    assert answer == first
    assert [entry["entry_id"] for entry in told] in ([], [first["entry_id"]])


async def test_subscribers_hear_of_it_once(service: Service, connect: Connect, room: int, user: int) -> None:
    sender, other = [await connect(service, entries_of(room), user=user) for _ in range(2)]
    for client_id in ("a", "a", "b"):
        await enter(sender, "once", client_id=client_id)
    assert [entry["seq"] for entry in await other.receive_many(2)] == [1, 2]
    await other.lives()


async def test_one_of_many_at_once_is_stored_and_all_get_its_number(
    service: Service, shared_service: StartService, connect: Connect, room: int, user: int
) -> None:
    twin = shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100")
    clients = [await connect(where, entries_of(room), user=user) for where in (service, twin) for _ in range(8)]
    for client in clients:
        await client.send({"type": "new_entry", "body": "once", "client_id": "a"})
    answers = await asyncio.gather(*(client.receive_until("entry_created") for client in clients))
    confirmed = [messages[-1] for messages in answers]
    assert all(answer == confirmed[0] for answer in confirmed)
    assert service.database.value("select count(*) from entries where room_id = %s", room) == 1
    assert service.database.value("select max(seq) from entries where room_id = %s", room) == 1
    told = [message for messages in answers for message in messages[:-1]]
    assert all(message["entry_id"] == confirmed[0]["entry_id"] for message in told)


async def test_another_authors_entry_of_the_same_client_id_is_another_entry(
    service: Service, connect: Connect, room: int, number: Callable[[], int]
) -> None:
    mine, theirs = [await connect(service, entries_of(room), user=number()) for _ in range(2)]
    await enter(mine, "mine", client_id="a")
    await theirs.receive()
    assert (await enter(theirs, "theirs", client_id="a"))["seq"] == 2


async def test_the_same_client_id_in_another_room_is_another_entry(
    service: Service, connect: Connect, user: int, number: Callable[[], int]
) -> None:
    ids = set()
    for room in (number(), number()):
        client = await connect(service, entries_of(room), user=user)
        answer = await enter(client, "here", client_id="a")
        assert answer["seq"] == 1
        ids.add(answer["entry_id"])
    assert len(ids) == 2


async def test_entries_without_a_client_id_are_never_taken_for_one(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, entries_of(room), user=user)
    assert [(await enter(client, "same"))["seq"] for _ in range(3)] == [1, 2, 3]


async def test_a_repetition_leaves_no_gap_in_the_numbers(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, entries_of(room), user=user)
    for client_id in ("a", "a", "b", "a", "c"):
        await enter(client, "text", client_id=client_id)
    page = (await asyncio.to_thread(service.get, f"/api/rooms/{room}/entries", headers=bearer(user))).json()
    assert [entry["seq"] for entry in page["entries"]] == [1, 2, 3]
    assert page["last_seq"] == 3
