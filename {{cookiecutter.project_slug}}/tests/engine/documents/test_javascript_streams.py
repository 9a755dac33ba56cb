"""The JavaScript client on many streams: one connection, positions of their own, and events as a way round."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.kit.fixture_types import Connect, Number, StartService
from tests.engine.kit.javascript import for_node, run_node
from tests.engine.kit.javascript_client import CLIENT, Event, JavaScriptClient, started
from tests.engine.kit.postgres import Address
from tests.engine.kit.proxy import Proxy, proxy_of
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

Start = Callable[..., Awaitable[JavaScriptClient]]
WAYS = ["socket", "sse"]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts clients that the end of the test ends."""
    stack = AsyncExitStack()

    async def begin(origin: str, user: int, **options: Any) -> JavaScriptClient:
        defaults: dict[str, Any] = {"origin": origin, "token": token(user), "backoff": 50}
        return await stack.enter_async_context(started(**(defaults | options)))

    yield begin
    await stack.aclose()


@pytest.fixture
def proxy(service: Service) -> Iterator[Proxy]:
    with proxy_of(service) as proxy:
        yield proxy


def is_live(client: JavaScriptClient, stream: str) -> bool:
    return {"stream": {"stream": stream, "name": "live"}} in client.events


def seqs(events: list[Event], stream: str) -> list[int]:
    return [event["seq"] for event in events if event["stream"] == stream]


async def answers(service: Service) -> bool:
    try:
        return service.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def store(service: Service, room: int, count: int) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('rooms/{room}', {count})")
    service.database.execute(
        "insert into entries (room_id, seq, author_id, body, created_at)"
        f" select {room}, n, '7', 'entry ' || n, now() from generate_series(1, {count}) n"
    )


@pytest.mark.parametrize("transport", WAYS)
async def test_streams_share_a_connection_and_have_positions_of_their_own(
    service: Service, start: Start, connect: Connect, number: Number, transport: str
) -> None:
    names = [f"rooms/{number()}" for _ in range(3)]
    writers = [await connect(service, f"/ws/{name}", user=1) for name in names]
    for writer in writers:
        await enter(writer, "before")
    client = await start(service.http, number(), transport=transport)
    for name, after in zip(names, (0, 1, None), strict=True):
        client.subscribe(name, after)
    while not all(is_live(client, name) for name in names):
        await client.event("stream")
    for writer in writers:
        await enter(writer, "after")
    while len([event for event in client.events if "event" in event]) < 4:
        await client.event("event")
    found = [event["event"] for event in client.events if "event" in event]
    assert [seqs(found, name) for name in names] == [[1, 2], [2], [2]]
    assert [await client.asked("reached", name) for name in names] == [2, 2, 2]
    assert await client.asked("transport") == transport
    assert len([event for event in client.events if event.get("out", {}).get("type") == "subscribe"]) == (
        3 if transport == "socket" else 0
    )


@pytest.mark.parametrize("transport", WAYS)
async def test_a_long_absence_is_filled_in_by_http(
    service: Service, start: Start, connect: Connect, number: Number, transport: str
) -> None:
    room = number()
    store(service, room, 2500)
    client = await start(service.http, number(), transport=transport)
    client.subscribe(f"rooms/{room}", 0)
    assert seqs(await client.stream_events(2500), f"rooms/{room}") == list(range(1, 2501))
    await client.stream(f"rooms/{room}", "live")
    await enter(await connect(service, f"/ws/rooms/{room}", user=1), "now")
    assert (await client.event("event"))["seq"] == 2501


@pytest.mark.parametrize("transport", WAYS)
async def test_a_killed_server_loses_and_doubles_nothing(
    start_service: StartService, start: Start, connect: Connect, transport: str
) -> None:
    service = start_service()
    client = await start(service.http, 7, transport=transport)
    names = [f"rooms/{room}" for room in range(1, 4)]
    for name in names:
        client.subscribe(name, 0)
    for turn in range(3):
        for name in names:
            writer = await connect(service, f"/ws/{name}", user=1)
            for body in range(5):
                await enter(writer, str(body))
        if turn < 2:
            for worker in service.workers():
                worker.kill()
            await eventually(lambda: answers(service), "the service is back")
    found = await client.stream_events(45)
    assert all(seqs(found, name) == list(range(1, 16)) for name in names)


@pytest.mark.parametrize("transport", WAYS)
async def test_a_restart_is_waited_for_as_long_as_the_server_says(
    start_service: StartService, start: Start, postgres: Address, transport: str
) -> None:
    database = postgres.create_database()
    service = start_service(database=database, DRAIN_SECONDS="0.2")
    client = await start(service.http, 7, transport=transport)
    client.subscribe("rooms/1", 0)
    await client.stream("rooms/1", "live")
    service.terminate()
    waiting = await client.state("waiting")
    told = next(event["in"] for event in client.events if event.get("in", {}).get("type") == "reconnect")
    assert abs(waiting["wait"] - told["delay_ms"]) < 150
    service.wait()
    start_service(database=database, PORT=str(service.port))
    client.tell("retry")
    await client.stream("rooms/1", "live")


@pytest.mark.parametrize("transport", WAYS)
async def test_what_may_not_be_read_is_closed_and_the_others_go_on(
    service: Service, http: httpx.AsyncClient, start: Start, connect: Connect, number: Number, transport: str
) -> None:
    user, club, room = number(), number(), number()
    client = await start(service.http, user, transport=transport, token=token(user, clubs=[club]))
    for name in (f"letters/{user + 1}", "unheard/7", f"clubs/{club}"):
        client.subscribe(name, 0)
    found: dict[str, Event] = {}
    while [state["name"] for state in found.values()].count("closed") < 2 or not is_live(client, f"clubs/{club}"):
        state = await client.event("stream")
        found[state["stream"]] = state
    assert (found[f"letters/{user + 1}"]["code"], found["unheard/7"]["code"]) == ("forbidden", "unknown_stream")
    await http.delete(f"/api/clubs/{club}/members/{user}", headers=bearer(1, scope="clubs:write"))
    assert (await client.stream(f"clubs/{club}", "closed"))["code"] == "forbidden"
    client.subscribe(f"rooms/{room}", 0)
    await client.stream(f"rooms/{room}", "live")


async def test_streams_come_and_go_in_one_breath(
    service: Service, start: Start, connect: Connect, number: Number
) -> None:
    room = number()
    name = f"rooms/{room}"
    store(service, room, 300)
    client = await start(service.http, number())
    await client.state("live")
    for _ in range(3):
        client.subscribe(name, 0)
        client.tell("unsubscribe", name)
    client.subscribe(name, 0)
    await client.stream(name, "live")
    found = [event["event"] for event in client.events if "event" in event]
    assert seqs(found, name)[-300:] == list(range(1, 301))
    client.tell("unsubscribe", name)
    await client.stream(name, "closed")
    await enter(await connect(service, f"/ws/{name}", user=1), "unheard")
    client.subscribe(name)
    await client.stream(name, "live")
    await enter(await connect(service, f"/ws/{name}", user=1), "heard")
    assert (await client.event("event"))["body"] == "heard"


async def test_what_came_too_fast_is_said_again(start_service: StartService, start: Start) -> None:
    service = start_service(RATE_LIMIT="100", RATE_LIMIT_BURST="2")
    client = await start(service.http, 7)
    await client.state("live")
    names = [f"rooms/{room}" for room in range(1, 61)]
    for name in names:
        client.subscribe(name, 0)
        client.tell("unsubscribe", name)
        client.subscribe(name, 0)
    live: set[str] = set()
    while live != set(names):
        state = await client.event("stream")
        (live.add if state["name"] == "live" else live.discard)(state["stream"])


@pytest.mark.parametrize("fault", ["refuse", "swallow"])
async def test_where_no_socket_gets_through_it_goes_on_by_server_sent_events_and_comes_back(
    service: Service, start: Start, connect: Connect, proxy: Proxy, number: Number, fault: Any
) -> None:
    """Nothing is lost or doubled at any of the changes."""
    names = [f"rooms/{number()}" for _ in range(2)]
    writers = [await connect(service, f"/ws/{name}", user=1) for name in names]
    client = await start(proxy.http, number(), patience=1000)
    for name in names:
        client.subscribe(name, 0)
    await client.state("live")

    async def write() -> None:
        while True:
            for writer in writers:
                await enter(writer, "x")
                await asyncio.sleep(0.005)

    async def carried_by(transport: str) -> None:
        async def is_carried() -> bool:
            client.tell("retry")
            return bool(await client.asked("transport") == transport)

        await eventually(is_carried, f"carried by {transport}", within=20)

    writing = asyncio.create_task(write())
    try:
        for _ in range(2):
            proxy.allow(fault)
            await carried_by("sse")
            await client.stream_events(20)
            proxy.allow("pass")
            await carried_by("socket")
            await client.stream_events(20)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    ends = {name: service.database.value(f"select last_seq from streams where name = '{name}'") for name in names}

    def found() -> dict[str, list[int]]:
        events = [event["event"] for event in client.events if "event" in event]
        return {name: seqs(events, name) for name in names}

    while any(found()[name][-1:] != [end] for name, end in ends.items()):
        await client.event("event")
    assert found() == {name: list(range(1, end + 1)) for name, end in ends.items()}


async def test_sockets_that_are_cut_now_and_then_are_no_reason_to_do_without(
    service: Service, start: Start, proxy: Proxy, number: Number
) -> None:
    client = await start(proxy.http, number())
    name = f"rooms/{number()}"
    client.subscribe(name, 0)
    for _ in range(4):
        await client.stream(name, "live")
        proxy.allow("pass")
        await client.state("waiting")
    assert await client.asked("transport") == "socket"


async def test_without_websocket_it_begins_with_server_sent_events(
    service: Service, start: Start, number: Number
) -> None:
    client = await start(service.http, number(), without="WebSocket")
    name = f"rooms/{number()}"
    client.subscribe(name, 0)
    await client.stream(name, "live")
    assert await client.asked("transport") == "sse"


@pytest.mark.parametrize("transport", WAYS)
async def test_an_expired_token_is_replaced_and_one_without_a_newer_is_the_end(
    service: Service, start: Start, number: Number, transport: str
) -> None:
    user = number()
    client = await start(service.http, user, transport=transport, token=token(user, ttl=-1))
    name = f"rooms/{number()}"
    client.subscribe(name, 0)
    closed = await client.stream(name, "closed")
    assert (closed["code"], "expired" in closed["reason"]) == (1008, True)
    newer = await start(service.http, user, transport=transport, token=token(user, ttl=8))
    newer.subscribe(name, 0)
    await newer.stream(name, "live")
    newer.tell("token", token(user, ttl=3600))
    if transport == "sse":  # there is nothing to show a token on: it comes back with it
        await newer.stream(name, "connecting")
        await newer.stream(name, "live")
    else:
        assert (await newer.event("out"))["type"]
        while (await newer.event("in"))["type"] != "authenticated":
            pass


async def test_a_stream_that_was_restored_from_a_backup_is_followed_from_its_end(
    service: Service, start: Start, connect: Connect, number: Number
) -> None:
    room = number()
    client = await start(service.http, number())
    client.subscribe(f"rooms/{room}", 9)
    await client.stream(f"rooms/{room}", "live")
    await enter(await connect(service, f"/ws/rooms/{room}", user=1), "first")
    assert (await client.event("event"))["seq"] == 1


@pytest.mark.parametrize("transport", WAYS)
async def test_each_part_of_a_name_is_one_of_the_address(
    shared_service: StartService, start: Start, transport: str
) -> None:
    """`%` and `/` in a parameter are escaped in the name, and the name's `%` once more in an address."""
    service = shared_service(JWT_SUBJECT_TYPE="string")
    user = f"a/b%c ü?#{transport}"
    name = f"letters/a%2Fb%25c ü?#{transport}"
    service.database.execute("insert into streams (name, last_seq) values (%s, 1500)", name)
    service.database.execute(
        "insert into letters (user_id, seq, data, created_at)"
        " select %s, n, '{}', now() from generate_series(1, 1500) n",
        user,
    )
    client = await start(service.http, 0, transport=transport, token=token(user))
    client.subscribe(name, 0)
    assert seqs(await client.stream_events(1500), name) == list(range(1, 1501))


async def test_who_is_there_is_known_and_told_anew_after_a_loss(
    service: Service, start: Start, connect: Connect, proxy: Proxy, number: Number
) -> None:
    name, me, other = f"rooms/{number()}", number(), number()
    client = await start(proxy.http, me)
    client.subscribe(name, 0, presence=True)
    assert await client.event("present") == {"stream": name, "users": [me], "count": 1}
    visitor = await connect(service, "/ws/streams", user=other)
    await visitor.send({"type": "subscribe", "stream": name, "presence": True})
    both = {"stream": name, "users": [me, other], "count": 2}
    assert await client.event("present") == both
    proxy.allow("pass")
    await client.state("waiting")
    found = await client.event("present")
    assert found | {"users": sorted(found["users"])} == both
    await visitor.close()
    assert await client.event("present") == {"stream": name, "users": [me], "count": 1}
    assert not [event for event in client.events if "event" in event]


@pytest.mark.parametrize("transport", WAYS)
async def test_signals_come_either_way_and_go_by_socket(
    service: Service, start: Start, connect: Connect, number: Number, transport: str
) -> None:
    name, me, other = f"rooms/{number()}", number(), number()
    client = await start(service.http, me, transport=transport)
    client.subscribe(name, 0)
    await client.stream(name, "live")
    peer = await connect(service, "/ws/streams", user=other)
    await peer.ask({"type": "subscribe", "stream": name})
    await peer.send({"type": "signal", "stream": name, "data": {"typing": True}})
    heard = await client.event("signal")
    assert (heard["user_id"], heard["data"]) == (other, {"typing": True})
    assert await client.signal(name, {"typing": False}) == (transport == "socket")
    if transport == "socket":
        told = {"type": "signal", "stream": name, "user_id": me, "data": {"typing": False}}
        assert await peer.receive() == told
    assert not [event for event in client.events if "event" in event]


async def test_a_refused_signal_is_lost_and_nothing_else(
    service: Service, start: Start, connect: Connect, number: Number
) -> None:
    room, me = number(), number()
    names = [f"rooms/{room}", f"letters/{me}"]
    client = await start(service.http, me)
    for name in names:
        client.subscribe(name, 0)
    while not all(is_live(client, name) for name in names):
        await client.event("stream")
    await client.signal(names[0], {"text": "x" * 2000})
    await client.signal(names[1], {"typing": True})
    for n in range(40):
        await client.signal(names[0], {"n": n})
    expected = {"invalid_message", "no_signals", "rate_limited"}
    while {event["in"].get("code") for event in client.events if "in" in event} & expected != expected:
        await client.event("in")
    await enter(await connect(service, f"/ws/{names[0]}", user=1), "afterwards")
    assert (await client.event("event"))["body"] == "afterwards"
    said = [event["out"] for event in client.events if event.get("out", {}).get("type") == "subscribe"]
    assert [message["stream"] for message in said] == names
    assert not [event for event in client.events if event.get("stream", {}).get("name") == "closed"]


def test_a_signal_does_not_wait_for_history(tmp_path: Path) -> None:
    (module,) = for_node(tmp_path, CLIENT.with_name("client-streams.js"))
    script = tmp_path / "signal.mjs"
    script.write_text(
        f"""
import {{ Subscription }} from {json.dumps(module.as_uri())};
const heard = [];
const unanswered = {{ history: () => new Promise(() => {{}}) }};
const hear = (message) => heard.push(message.type);
const room = new Subscription(unanswered, "rooms/1", {{ after: 0, onEvent: hear, onSignal: hear }});
for (const type of ["history_gap", "entry", "signal", "joined"]) room.take({{ type, seq: 5, user_id: 7 }}, {{}});
console.log(JSON.stringify([heard, [...room.present]]));
"""
    )
    assert run_node(script) == [["signal"], [7]]


async def test_a_connection_is_looked_at_when_the_page_wakes_up(
    service: Service, start: Start, number: Number, room: int
) -> None:
    client = await start(service.http, number(), url=f"{service.http}/ws/rooms/{room}", backoff=500)
    await client.state("live")
    client.tell("wake")
    assert (await client.event("out"))["type"] == "ping"
    assert (await client.event("in"))["type"] == "pong"
    asleep = await start(service.http, number(), url="http://127.0.0.1:9/ws", backoff=60_000)
    while (await asleep.state("waiting"))["wait"] < 10_000:
        asleep.tell("retry")
    asleep.tell("wake")
    await asleep.state("connecting", within=5)


async def test_why_there_is_no_connection_is_said(service: Service, start: Start, room: int) -> None:
    where = {"url": f"{service.http}/ws/rooms/{room}"}
    buggy = await (await start(service.http, 1, bug="user is undefined", **where)).state("waiting")
    assert buggy["reason"] == "token(): user is undefined"
    assert buggy["cause"] == "TypeError: user is undefined"
    alone = await (await start(service.http, 1, url="http://127.0.0.1:9/ws")).state("waiting")
    assert alone["reason"].startswith("no answer: ")
    assert "ECONNREFUSED" in alone["reason"] or "bad port" in alone["reason"]
    old = await (await start(service.http, 1, without="WebSocket", **where)).state("closed")
    assert "WebSocket" in old["reason"]
    wrong = await (await start(service.http, 1, url="http://")).state("closed")
    assert "URL" in wrong["reason"]
