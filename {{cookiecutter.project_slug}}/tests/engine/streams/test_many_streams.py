"""`/ws/streams`: many streams on one connection, each as on an endpoint of its own, and none in the way of another."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.engine.kit.client import Client, Message
from tests.engine.kit.fixture_types import Broker, Connect, Number, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.rooms import enter

STREAMS = "/ws/streams"


@pytest.fixture
def service(shared_service: StartService, broker: Broker) -> Service:
    """A process, with each of the brokers."""
    return shared_service(RATE_LIMIT="20", **broker)


@pytest.fixture
def twin(service: Service, shared_service: StartService, broker: Broker) -> Service:
    """A second process on the same database and broker."""
    return shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100", **broker)


async def subscribe(client: Client, stream: str, **fields: Any) -> list[Message]:
    """What comes until the stream is followed, or refused."""
    await client.send({"type": "subscribe", "stream": stream} | fields)
    found = [await client.receive()]
    while found[-1]["type"] not in {"subscribed", "error"}:
        found.append(await client.receive())
    return found


def error(code: str, stream: str, message: str, **fields: Any) -> Message:
    return {"type": "error", "code": code, "message": message, "stream": stream} | fields


async def test_events_of_every_stream_come_in_order_and_name_it(
    service: Service, twin: Service, connect: Connect, number: Number, user: int
) -> None:
    rooms = [number() for _ in range(3)]
    writers = {room: await connect(service, f"/ws/rooms/{room}", user=user) for room in rooms}
    for room in rooms:
        await enter(writers[room], "before")
    client = await connect(twin, STREAMS, user=user)
    for room in rooms[:2]:
        name = f"rooms/{room}"
        missed, subscribed = await subscribe(client, name, after=0)
        assert (missed["type"], missed["stream"], missed["seq"], missed["body"]) == ("entry", name, 1, "before")
        assert subscribed == {"type": "subscribed", "stream": name, "seq": 1}
    assert await subscribe(client, f"rooms/{rooms[2]}") == [
        {"type": "subscribed", "stream": f"rooms/{rooms[2]}", "seq": 1}
    ]
    for body in ("one", "two"):
        for room in rooms:
            await enter(writers[room], body)
    live = await client.receive_many(6)
    for room in rooms:
        of_room = [message for message in live if message["stream"] == f"rooms/{room}"]
        assert [(message["seq"], message["body"]) for message in of_room] == [(2, "one"), (3, "two")]
    await client.lives()


async def test_an_event_is_as_on_an_endpoint_of_its_own_but_for_its_stream(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    own, writer = [await connect(service, f"/ws/rooms/{room}", user=user) for _ in range(2)]
    many = await connect(service, STREAMS, user=user)
    await subscribe(many, f"rooms/{room}")
    await enter(writer, "Grüße 👋", client_id="not told")
    assert await many.receive() == await own.receive() | {"stream": f"rooms/{room}"}


async def test_a_hundred_streams_are_followed_at_once_and_one_more_is_refused(
    service: Service, connect: Connect, number: Number, user: int
) -> None:
    client = await connect(service, STREAMS, user=user)
    names = [f"rooms/{number()}" for _ in range(101)]
    for name in names:
        await client.send({"type": "subscribe", "stream": name, "after": 0})
    answers = await client.receive_many(101)
    assert {answer["stream"] for answer in answers if answer["type"] == "subscribed"} == set(names[:100])
    (refused,) = [answer for answer in answers if answer["type"] == "error"]
    assert refused == error("too_many_subscriptions", names[100], "A connection may follow 100 streams.")
    await client.send({"type": "unsubscribe", "stream": names[0]})
    assert await client.receive() == {"type": "unsubscribed", "stream": names[0]}
    assert await subscribe(client, names[100]) == [{"type": "subscribed", "stream": names[100], "seq": 0}]


async def test_what_is_unsubscribed_comes_no_more_and_may_be_followed_again(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    name = f"rooms/{room}"
    writer = await connect(service, f"/ws/rooms/{room}", user=user)
    client = await connect(service, STREAMS, user=user)
    await subscribe(client, name)
    for _ in range(2):
        await client.send({"type": "unsubscribe", "stream": name})
        assert await client.receive() == {"type": "unsubscribed", "stream": name}
    await enter(writer, "missed")
    missed, subscribed = await subscribe(client, name, after=0)
    assert (missed["body"], subscribed["seq"]) == ("missed", 1)


async def test_changes_of_mind_in_one_breath_are_carried_out_in_order(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, STREAMS, user=user)
    for kind in ("subscribe", "unsubscribe", "subscribe", "subscribe", "unsubscribe", "subscribe"):
        await client.send({"type": kind, "stream": f"rooms/{room}"})
    said: list[str] = []
    while said.count("unsubscribed") < 2 or said[-1] != "subscribed":
        answer = await client.receive()
        said.append(str(answer.get("code", answer["type"])))
    assert said.count("already_subscribed") == 1
    assert said.count("subscribed") <= 3, "the others were called off before they were in place"
    await client.lives()


@pytest.mark.parametrize(
    "name",
    [
        "rooms",
        "rooms/",
        "rooms/x",
        "rooms/07",
        "rooms/-1",
        "rooms/1.0",
        "rooms/%37",
        "rooms/\N{ARABIC-INDIC DIGIT SEVEN}",
        "rooms/ 7",
        "rooms/7/",
        "/rooms/7",
        "Rooms/7",
        "rooms/7/events",
        "rooms%2F7",
        "rooms/9223372036854775808",
        "rooms/" + "7" * 294,
        "letters/007",
        "$revocations",
        "unheard/7",
    ],
)
async def test_a_name_of_nothing_is_refused_and_reaches_no_other_stream(
    service: Service, connect: Connect, user: int, name: str
) -> None:
    client = await connect(service, STREAMS, user=user)
    for kind in ("subscribe", "unsubscribe"):
        for _ in range(11):  # it is no bad input, of which ten in a row would end the connection
            answer = await client.ask({"type": kind, "stream": name, "client_id": "mine"})
            assert answer == error("unknown_stream", name, "There is no stream of this name.", client_id="mine")
    await client.lives()


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"type": "subscribe"}, "stream"),
        ({"type": "subscribe", "stream": 7}, "stream"),
        ({"type": "subscribe", "stream": ""}, "stream"),
        ({"type": "subscribe", "stream": "a" * 1025}, "stream"),
        ({"type": "subscribe", "stream": "a\0"}, "stream"),
        ({"type": "subscribe", "stream": "rooms/1", "after": -1}, "after"),
        ({"type": "subscribe", "stream": "rooms/1", "after": "0"}, "after"),
        ({"type": "subscribe", "stream": "rooms/1", "after": 2**63}, "after"),
        ({"type": "subscribe", "stream": "rooms/1", "afetr": 1}, "afetr"),
        ({"type": "publish", "stream": "rooms/1"}, "type"),
    ],
)
async def test_bad_input_is_named(service: Service, connect: Connect, message: Message, field: str, user: int) -> None:
    client = await connect(service, STREAMS, user=user)
    answer = await client.ask(message)
    assert (answer["type"], answer["code"]) == ("error", "invalid_message")
    assert field in answer["message"]
    await client.lives()


async def test_a_position_beyond_the_end_is_followed_from_the_end(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    client = await connect(service, STREAMS, user=user)
    assert await subscribe(client, f"rooms/{room}", after=2**63 - 1) == [
        {"type": "subscribed", "stream": f"rooms/{room}", "seq": 0}
    ]
    await enter(await connect(service, f"/ws/rooms/{room}", user=user), "first")
    assert (await client.receive())["seq"] == 1


async def test_who_missed_too_much_is_told_of_which_stream(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('rooms/{room}', 2000)")
    client = await connect(service, STREAMS, user=user)
    name = f"rooms/{room}"
    assert await subscribe(client, name, after=3) == [
        {"type": "history_gap", "stream": name, "after": 3, "seq": 2000},
        {"type": "subscribed", "stream": name, "seq": 2000},
    ]


async def test_only_who_may_read_a_stream_follows_it(
    service: Service, connect: Connect, number: Number, user: int
) -> None:
    club, room = number(), number()
    client = await connect(service, STREAMS, token=token(user, clubs=[club]))
    assert await subscribe(client, f"clubs/{club + 1}", after=0, client_id="a") == [
        error("forbidden", f"clubs/{club + 1}", "Members only.", client_id="a")
    ]
    assert (await subscribe(client, f"letters/{user + 1}"))[0]["code"] == "forbidden"
    for name in (f"clubs/{club}", f"letters/{user}", f"rooms/{room}"):
        assert (await subscribe(client, name, after=0))[0]["type"] == "subscribed"


async def test_a_right_that_ends_ends_one_subscription_and_no_other(
    service: Service, twin: Service, http: httpx.AsyncClient, connect: Connect, number: Number, user: int
) -> None:
    club, room = number(), number()
    client = await connect(twin, STREAMS, token=token(user, clubs=[club]))
    for name in (f"clubs/{club}", f"rooms/{room}"):
        await subscribe(client, name)
    await http.delete(f"/api/clubs/{club}/members/{user}", headers=bearer(1, scope="clubs:write"))
    assert await client.receive() == error("forbidden", f"clubs/{club}", "You may not read this any longer.")
    await enter(await connect(service, f"/ws/rooms/{room}", user=user), "still here")
    assert (await client.receive())["body"] == "still here"
    assert (await subscribe(client, f"clubs/{club}"))[0]["type"] == "subscribed", "the token still says so"


async def test_a_newer_token_without_a_right_ends_its_subscriptions(
    service: Service, connect: Connect, number: Number, user: int
) -> None:
    club, room = number(), number()
    client = await connect(service, STREAMS, token=token(user, clubs=[club]))
    for name in (f"clubs/{club}", f"rooms/{room}"):
        await subscribe(client, name)
    assert (await client.ask({"type": "authenticate", "token": token(user)}))["type"] == "authenticated"
    assert await client.receive() == error("forbidden", f"clubs/{club}", "You may not read this any longer.")
    await client.lives()


async def test_clients_that_join_while_others_write_see_each_streams_unbroken_count(
    service: Service, twin: Service, connect: Connect, number: Number, user: int
) -> None:
    rooms = [number() for _ in range(4)]
    count = 40
    writers = [await connect(service, f"/ws/rooms/{room}", user=number()) for room in rooms]
    readers = [await connect(where, STREAMS, user=number()) for where in (service, twin, service, twin)]

    async def write(client: Client) -> None:
        for body in range(count):
            await enter(client, str(body))

    async def read(client: Client) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {f"rooms/{room}": [] for room in rooms}
        for room in rooms:
            await client.send({"type": "subscribe", "stream": f"rooms/{room}", "after": 0})
        while any(len(seqs) < count for seqs in found.values()):
            message = await client.receive()
            if message["type"] == "entry":
                found[message["stream"]].append(message["seq"])
        return found

    reading = asyncio.gather(*map(read, readers))
    await asyncio.gather(*map(write, writers))
    for found in await reading:
        assert all(seqs == list(range(1, count + 1)) for seqs in found.values())


async def test_what_was_stored_before_a_subscription_without_a_position_does_not_come(
    service: Service, twin: Service, connect: Connect, room: int, user: int
) -> None:
    """However slowly it travels to a process that follows the stream already."""
    name = f"rooms/{room}"
    await subscribe(await connect(twin, STREAMS, user=user), name)
    writer, client = await connect(service, f"/ws/{name}", user=user), await connect(twin, STREAMS, user=user)
    for seq in range(1, 41):
        await enter(writer, "before")
        assert await subscribe(client, name) == [{"type": "subscribed", "stream": name, "seq": seq}]
        await client.send({"type": "unsubscribe", "stream": name})
        assert await client.receive() == {"type": "unsubscribed", "stream": name}


async def test_a_subscription_that_ends_while_it_catches_up_is_over(
    service: Service, connect: Connect, number: Callable[[], int], user: int
) -> None:
    rooms = [number() for _ in range(20)]
    writers = [await connect(service, f"/ws/rooms/{room}", user=number()) for room in rooms]
    for writer in writers:
        await enter(writer, "missed")
    client = await connect(service, STREAMS, user=user)
    for room in rooms:
        await client.send({"type": "subscribe", "stream": f"rooms/{room}", "after": 0})
        await client.send({"type": "unsubscribe", "stream": f"rooms/{room}"})
    while rooms:
        message = await client.receive()
        if message["type"] == "unsubscribed":
            rooms.remove(int(message["stream"].partition("/")[2]))
        else:
            assert int(message["stream"].partition("/")[2]) in rooms, "nothing comes after the answer"
    for writer in writers:
        await enter(writer, "unheard")
    await client.lives()
