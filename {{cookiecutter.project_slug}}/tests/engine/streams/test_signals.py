"""Signals: for every other subscriber of every process, at most once, and never in the way of what is stored."""

from typing import Any

import pytest

from tests.engine.kit.client import Client, Message
from tests.engine.kit.event_source import following
from tests.engine.kit.fixture_types import Broker, Connect, Number, StartService
from tests.engine.kit.running import Service
from tests.engine.rooms import enter

STREAMS = "/ws/streams"


@pytest.fixture
def service(shared_service: StartService, broker: Broker) -> Service:
    """A process, with each of the brokers."""
    return shared_service(**broker)


@pytest.fixture
def twin(service: Service, shared_service: StartService, broker: Broker) -> Service:
    """A second process on the same database and broker."""
    return shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100", **broker)


async def follower(connect: Connect, service: Service, stream: str, user: int) -> Client:
    client = await connect(service, STREAMS, user=user)
    assert (await client.ask({"type": "subscribe", "stream": stream}))["type"] == "subscribed"
    return client


def signal(stream: str, **data: Any) -> Message:
    return {"type": "signal", "stream": stream, "data": data}


async def test_every_other_subscriber_of_every_process_gets_it_and_nobody_else(
    service: Service, twin: Service, connect: Connect, number: Number
) -> None:
    room, other, me, somebody = number(), number(), number(), number()
    name = f"rooms/{room}"
    sender = await follower(connect, service, name, me)
    others = [await follower(connect, where, name, user) for where in (service, twin) for user in (me, somebody)]
    elsewhere = await follower(connect, twin, f"rooms/{other}", somebody)
    own = await connect(service, f"/ws/rooms/{room}", user=somebody)
    await sender.send(signal(name, typing=True, text="Grüße 👋"))
    for client in others:
        assert await client.receive() == signal(name, typing=True, text="Grüße 👋") | {"user_id": me}
    for client in (sender, elsewhere, own):
        await client.lives()


async def test_who_follows_by_server_sent_events_gets_it_too(
    service: Service, twin: Service, connect: Connect, room: int, user: int
) -> None:
    name = f"rooms/{room}"
    sender = await follower(connect, service, name, user)
    async with following(twin.http, name, user=user) as source:
        assert (await source.receive()).event == "caught_up"
        await sender.send(signal(name, typing=True))
        found = await source.receive()
        assert (found.event, found.id, found.data["data"]) == ("signal", None, {"typing": True})


async def test_it_is_not_stored_and_not_replayed(service: Service, connect: Connect, room: int, user: int) -> None:
    name = f"rooms/{room}"
    sender, reader = [await follower(connect, service, name, user) for _ in range(2)]
    await sender.send(signal(name, n=1))
    assert (await reader.receive())["data"] == {"n": 1}
    late = await connect(service, STREAMS, user=user)
    assert await late.ask({"type": "subscribe", "stream": name, "after": 0}) == {
        "type": "subscribed",
        "stream": name,
        "seq": 0,
    }
    await late.lives()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (signal("letters/{user}", n=1), "no_signals"),
        (signal("rooms/{room}", n=1), "not_subscribed"),
        (signal("rooms/07", n=1), "unknown_stream"),
        (signal("unheard/7", n=1), "unknown_stream"),
        (signal("rooms/{room}", n=1) | {"data": 7}, "invalid_message"),
        (signal("rooms/{room}", n=1) | {"data": None}, "invalid_message"),
        (signal("rooms/{room}", n=1) | {"user_id": 7}, "invalid_message"),
        (signal("rooms/{room}", n=float("nan")), "invalid_json"),
        (signal("rooms/{room}", n="\0"), "invalid_message"),
        ({"type": "signal", "stream": "rooms/{room}"}, "invalid_message"),
    ],
)
async def test_what_is_no_signal_of_a_subscriber_is_refused(
    service: Service, connect: Connect, room: int, user: int, message: Message, code: str
) -> None:
    client = await connect(service, STREAMS, user=user)
    stream = message["stream"].format(room=room, user=user)
    answer = await client.ask(message | {"stream": stream, "client_id": "mine"})
    assert (answer["type"], answer["code"], answer["client_id"]) == ("error", code, "mine")
    await client.lives()


async def test_a_kibibyte_is_the_most(service: Service, connect: Connect, room: int, user: int) -> None:
    name = f"rooms/{room}"
    sender, reader = [await follower(connect, service, name, user) for _ in range(2)]
    overhead = len('{"text":""}')
    answer = await sender.ask(signal(name, text="x" * (1025 - overhead)))
    assert (answer["code"], answer["stream"]) == ("invalid_message", name)
    await sender.send(signal(name, text="x" * (1024 - overhead)))
    assert len((await reader.receive())["data"]["text"]) == 1024 - overhead


async def test_too_many_are_dropped_and_what_is_stored_is_not(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    name = f"rooms/{room}"
    sender, reader = [await follower(connect, service, name, user) for _ in range(2)]
    writer = await connect(service, f"/ws/rooms/{room}", user=user)
    for n in range(60):
        await sender.send(signal(name, n=n))
    refused = await sender.receive_many(10)
    assert {(answer["type"], answer["code"], answer["stream"]) for answer in refused} == {
        ("error", "rate_limited", name)
    }
    first = await reader.receive()
    await enter(writer, "stored")
    *others, stored = await reader.receive_until("entry")
    assert stored["body"] == "stored"
    sent = [message["data"]["n"] for message in (first, *others)]
    assert sent == sorted(set(sent))
    assert len(sent) <= 60 - len(refused)
