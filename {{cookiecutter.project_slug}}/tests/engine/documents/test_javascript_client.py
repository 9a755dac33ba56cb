"""The JavaScript client keeps what it promises: in Node, against a real service and against a strange one."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from service.engine.foundation.endings import ENDINGS, Ending, Next
from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.javascript import NODE, npm_package, run_node
from tests.engine.kit.javascript_client import CLIENT, Event, JavaScriptClient, started
from tests.engine.kit.postgres import Address
from tests.engine.kit.running import HOST, Service
from tests.engine.kit.tokens import token

TYPESCRIPT = "typescript@5.9.3"
Start = Callable[..., Awaitable[JavaScriptClient]]
Behaviour = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def strange_server(behaviour: Behaviour) -> AsyncIterator[str]:
    """A server that does as it is told; its address."""
    async with serve(behaviour, HOST, 0, subprotocols=[Subprotocol("live.v1")], close_timeout=5) as server:
        yield f"ws://{HOST}:{server.sockets[0].getsockname()[1]}/ws"


@pytest.fixture
async def strange() -> AsyncIterator[Callable[[Behaviour], Awaitable[str]]]:
    """Starts strange servers."""
    stack = AsyncExitStack()

    async def begin(behaviour: Behaviour) -> str:
        return await stack.enter_async_context(strange_server(behaviour))

    yield begin
    await stack.aclose()


@pytest.fixture
async def start(strange: Callable[[Behaviour], Awaitable[str]]) -> AsyncIterator[Start]:
    """Starts clients that the end of the test ends, before the servers they talk to."""
    stack = AsyncExitStack()

    async def begin(**options: Any) -> JavaScriptClient:
        return await stack.enter_async_context(started(**options))

    yield begin
    await stack.aclose()


def entries(service: Service, room: int, user: int, **options: Any) -> dict[str, Any]:
    history = [f"{service.http}/api/rooms/{room}/entries", "entries", "entry"]
    return {"url": f"{service.http}/ws/rooms/{room}", "historyOf": history, "token": token(user), "after": 0} | options


def entry(body: str) -> dict[str, Any]:
    return {"type": "new_entry", "body": body}


async def test_entries_are_confirmed_and_seen_by_others(service: Service, start: Start, room: int) -> None:
    writer = await start(**entries(service, room, 1))
    reader = await start(**entries(service, room, 2))
    await reader.state("live")
    answers = [await writer.deliver(entry(body)) for body in ("a", "b")]
    assert [answer["seq"] for answer in answers] == [1, 2]
    assert [(seen["seq"], seen["body"], seen["author_id"]) for seen in await reader.messages(2)] == [
        (1, "a", 1),
        (2, "b", 1),
    ]
    assert [event for event in writer.events if "message" in event] == []


async def test_it_comes_in_with_a_ticket_or_with_the_token_as_a_subprotocol(
    service: Service, start: Start, room: int
) -> None:
    tickets = service.log().count("/api/tickets")
    unused = service.database.value("select count(*) from tickets")
    client = await start(**entries(service, room, 1))
    await client.state("live")
    assert service.log().count("/api/tickets") == tickets + 1
    assert service.database.value("select count(*) from tickets") <= unused, "used"
    client = await start(**entries(service, room, 1, tickets=False))
    await client.state("live")
    assert service.log().count("/api/tickets") == tickets + 1, "one request less"


async def test_a_killed_server_loses_and_doubles_nothing(start_service: StartService, start: Start) -> None:
    service = start_service()
    writer = await start(**entries(service, 1, 1))
    reader = await start(**entries(service, 1, 2))
    await reader.state("live")
    await writer.state("live")
    for number in range(30):
        writer.tell("deliver", entry(str(number)))
        if number % 10 == 5:
            await asyncio.sleep(0.05)
            for worker in service.workers():
                worker.kill()
    answers = [await writer.event("answer") for _ in range(30)]
    assert [answer["seq"] for answer in answers] == list(range(1, 31)), "in order, each once"
    seen = await reader.messages(30)
    assert [(message["seq"], message["body"]) for message in seen] == [(n + 1, str(n)) for n in range(30)]
    assert service.database.value("select count(*) from entries") == 30


async def test_a_restart_is_waited_for_as_long_as_the_server_says(
    start_service: StartService, start: Start, postgres: Address
) -> None:
    database = postgres.create_database()
    service = start_service(database=database, DRAIN_SECONDS="0.2")
    client = await start(**entries(service, 1, 1))
    await client.deliver(entry("before"))
    service.terminate()
    waiting = await client.state("waiting")
    assert waiting["code"] == 1012
    told = next(event["in"] for event in client.events if event.get("in", {}).get("type") == "reconnect")
    assert abs(waiting["wait"] - told["delay_ms"]) < 100
    client.tell("deliver", entry("meanwhile"))
    service.wait()
    start_service(database=database, PORT=str(service.port))
    client.tell("retry")
    assert (await client.event("answer", within=30))["seq"] == 2


async def test_a_newer_token_is_shown_before_the_old_one_expires(service: Service, start: Start, room: int) -> None:
    expiry = time.time() + 6
    client = await start(**entries(service, room, 1, token=token(1, exp=expiry)))
    await client.state("live")
    client.tell("token", token(1, ttl=3600))
    assert (await client.event("out"))["type"] == "authenticate"
    assert (await client.event("in"))["type"] == "authenticated"
    await asyncio.sleep(expiry + 0.5 - time.time())
    await client.deliver(entry("still here"))
    assert [event["state"]["name"] for event in client.events if "state" in event] == [
        "connecting",
        "catching_up",
        "live",
    ]


async def test_an_expired_token_is_replaced_at_once(
    start: Start, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    offered: list[str] = []

    async def expiring(connection: ServerConnection) -> None:
        assert connection.request
        offered.append(connection.request.headers["Sec-WebSocket-Protocol"])
        await connection.recv()
        await connection.close(1008, "token expired")

    client = await start(url=await strange(expiring), token="first", tickets=False)
    await client.state("live")
    client.tell("token", "second")
    client.tell("send", {"type": "ack"})
    waiting = await client.state("waiting")
    assert (waiting["code"], waiting["reason"], waiting["wait"] < 100) == (1008, "token expired", True)
    await client.state("live")
    assert [protocols.rpartition("bearer.")[2] for protocols in offered] == ["first", "second"]


async def test_a_refused_token_without_a_newer_one_is_the_end(service: Service, start: Start, room: int) -> None:
    fixed = await start(**entries(service, room, 1, token=token(1, ttl=-1), fixed=True))
    assert "expired" in (await fixed.state("closed"))["reason"]
    asked = await start(**entries(service, room, 1, token=token(1, ttl=-1), backoff=50))
    assert (await asked.state("closed"))["code"] == 1008
    assert sum("asked" in event for event in asked.events) == 2, "it asks for a newer one"


async def test_a_long_absence_is_filled_in_by_http(service: Service, start: Start, room: int) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('rooms/{room}', 2500)")
    service.database.execute(
        "insert into entries (room_id, seq, author_id, body, created_at)"
        f" select {room}, n, '7', 'entry ' || n, now() from generate_series(1, 2500) n"
    )
    client = await start(**entries(service, room, 1))
    assert [message["seq"] for message in await client.messages(2500)] == list(range(1, 2501))
    await client.state("live")
    assert any(event.get("in", {}).get("type") == "history_gap" for event in client.events)
    assert (await client.deliver(entry("now")))["seq"] == 2501


async def test_a_long_absence_from_letters_is_filled_in_by_http(service: Service, start: Start, user: int) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('letters/{user}', 1500)")
    service.database.execute(
        "insert into letters (user_id, seq, data, created_at)"
        f" select '{user}', n, '{{}}', now() from generate_series(1, 1500) n"
    )
    history = [f"{service.http}/api/letters", "letters", "letter"]
    client = await start(url=f"{service.http}/ws/letters", historyOf=history, token=token(user), after=0)
    messages = await client.messages(1500)
    assert [(message["type"], message["seq"]) for message in messages] == [("letter", seq) for seq in range(1, 1501)]


def test_outside_a_page_it_asks_where_the_service_is(tmp_path: Path) -> None:
    script = tmp_path / "script.mjs"
    script.write_text(f"""
import {{ ownOrigin }} from {json.dumps(CLIENT.as_uri())};
try {{ ownOrigin() }} catch (error) {{ console.log(JSON.stringify(error.message.includes("origin"))); }}
""")
    assert run_node(script) is True


async def test_a_server_that_does_not_answer_is_left(start_service: StartService, start: Start) -> None:
    service = start_service(HEARTBEAT_INTERVAL="0")
    client = await start(**entries(service, 1, 1, heartbeat=200, patience=700))
    await client.deliver(entry("alive"))
    for _ in range(3):
        while (await client.event("out"))["type"] != "ping":
            pass
    workers = service.serving()
    for worker in workers:
        worker.suspend()
    try:
        waiting = await client.state("waiting", within=5)
        assert waiting["reason"] == "no sign of life"
    finally:
        for worker in workers:
            worker.resume()
    await client.state("live")


async def test_the_servers_ping_is_answered(start_service: StartService, start: Start) -> None:
    service = start_service(HEARTBEAT_INTERVAL="0.2", HEARTBEAT_TIMEOUT="5")
    client = await start(**entries(service, 1, 1))
    for _ in range(2):
        assert (await client.event("out"))["type"] == "pong"
    client.tell("position")
    assert await client.event("position") == 0
    assert not any(event.get("state", {}).get("name") == "waiting" for event in client.events)


async def test_what_the_server_refuses_is_a_problem_and_what_it_cannot_do_now_is_said_again(
    service: Service, start: Start, room: int, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    client = await start(**entries(service, room, 1))
    await client.state("live")
    client.tell("deliver", entry("x" * 4001))
    assert (await client.event("problem"))["code"] == "invalid_message"
    client.tell("deliver", entry(""))
    assert (await client.event("problem"))["code"] == "invalid_message"
    client.tell("send", {"type": "nonsense"})
    assert (await client.event("message"))["code"] == "invalid_message"
    assert (await client.deliver(entry("fine")))["seq"] == 1

    async def busy(connection: ServerConnection) -> None:
        said = json.loads(await connection.recv())
        error = {"type": "error", "code": "unavailable", "message": "not now", "client_id": said["client_id"]}
        await connection.send(json.dumps(error))
        again = json.loads(await connection.recv())
        assert again == said
        await connection.send(json.dumps({"type": "entry_created", "seq": 1, "client_id": said["client_id"]}))
        await connection.wait_closed()

    patient = await start(url=await strange(busy))
    assert (await patient.deliver(entry("a")))["seq"] == 1


async def test_an_error_that_names_nothing_is_never_taken_for_the_wrong_message(
    start: Start, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    heard: list[Event] = []

    async def picky(connection: ServerConnection) -> None:
        async for text in connection:
            heard.append(json.loads(text))
            kind, client_id = heard[-1]["type"], heard[-1].get("client_id")
            if kind == "authenticate":
                await connection.send(json.dumps({"type": "error", "code": "expired_token", "message": "too late"}))
            elif kind == "nonsense" or heard[-1].get("body") == "never":
                await connection.send(json.dumps({"type": "error", "code": "invalid_message", "message": "no"}))
            else:
                await connection.send(json.dumps({"type": "entry_created", "seq": 1, "client_id": client_id}))

    client = await start(url=await strange(picky))
    await client.state("live")
    client.tell("send", {"type": "nonsense"})
    assert (await client.deliver(entry("good")))["seq"] == 1, "the error was the other message's"
    client.tell("deliver", entry("never"))
    client.tell("send", {"type": "authenticate", "token": "old"})
    assert (await client.event("problem"))["code"] == "invalid_message"
    refused = [message for message in heard if message.get("body") == "never"]
    assert len(refused) == 2, "when in doubt it is said once more, and not for ever"
    assert (await client.deliver(entry("after")))["seq"] == 1


async def test_a_stream_that_was_restored_from_a_backup_is_followed_from_its_end(
    start: Start, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    async def restored(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "caught_up", "seq": 3}))
        await connection.send(json.dumps({"type": "entry", "seq": 4}))
        await connection.wait_closed()

    client = await start(url=await strange(restored), after=9)
    assert (await client.event("message"))["seq"] == 4
    client.tell("position")
    assert await client.event("position") == 4


async def test_an_answer_that_overtakes_a_message_does_not_hide_it(
    start: Start, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    asked: list[str] = []

    async def overtaking(connection: ServerConnection) -> None:
        assert connection.request
        asked.append(connection.request.path)
        await connection.send(json.dumps({"type": "caught_up", "seq": 6}))
        said = json.loads(await connection.recv())
        await connection.send(json.dumps({"type": "entry_created", "seq": 8, "client_id": said["client_id"]}))
        if len(asked) == 1:
            await connection.close(1011)
            return
        for seq in (6, 7, 8):
            await connection.send(json.dumps({"type": "entry", "seq": seq}))
        await connection.wait_closed()

    client = await start(url=await strange(overtaking), after=6, backoff=10)
    await client.deliver(entry("a"))
    await client.state("connecting")
    client.tell("deliver", entry("b"))
    assert (await client.event("message"))["seq"] == 7, "not 6 and not 8: these are known"
    client.tell("position")
    assert await client.event("position") == 8
    assert [path.partition("?")[2] for path in asked] == ["after=6", "after=6"]


RULES = {
    Next.STAY_AWAY: "stop",
    Next.RENEW_TOKEN: "renew",
    Next.AFTER_DELAY: "delay",
    Next.AT_ONCE: "at once",
    Next.BACK_OFF: None,
}


def test_its_table_of_endings_is_the_engines(tmp_path: Path) -> None:
    script = tmp_path / "script.mjs"
    script.write_text(f"""
import {{ ENDINGS }} from {json.dumps(CLIENT.as_uri())};
console.log(JSON.stringify(ENDINGS));
""")
    table = run_node(script)
    for ending in ENDINGS:
        assert table.get(str(ending.code), {}).get("then") == RULES[ending.then], ending
    reasons = {ending.code: {each.reason for each in ENDINGS if each.code == ending.code} for ending in ENDINGS}
    for code, rule in table.items():
        said = reasons.get(int(code), set())
        assert len(said) != 1 or said == {""} or rule["means"] in said, code


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: f"{ending.code} {ending.reason}")
async def test_every_ending_is_obeyed(
    ending: Ending, start: Start, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    async def closing(connection: ServerConnection) -> None:
        announced = {"type": "reconnect", "delay_ms": 4321}
        await connection.send(json.dumps(announced) if ending.then is Next.AFTER_DELAY else "{}")
        await connection.close(ending.code, ending.reason)

    client = await start(url=await strange(closing), token="a.b.c", fixed=True, tickets=False, backoff=20_000)
    if ending.then in {Next.STAY_AWAY, Next.RENEW_TOKEN}:  # there is no newer token
        closed = await client.state("closed")
        assert closed["code"] == ending.code
        assert ending.reason in closed["reason"]
        return
    waiting = await client.state("waiting")
    assert (waiting["code"], waiting["reason"], waiting["attempt"]) == (ending.code, ending.reason, 1)
    if ending.then is Next.AT_ONCE:
        assert waiting["wait"] < 50
    elif ending.then is Next.AFTER_DELAY:
        assert 4200 < waiting["wait"] <= 4321
    else:
        assert 0 <= waiting["wait"] <= 20_000


async def test_streams_on_one_connection_have_positions_of_their_own(
    start: Start, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    """Over several connections; a gap in one of them is for the page to fill: it is not the connection's own stream."""
    asked: list[str] = []

    async def several_streams(connection: ServerConnection) -> None:
        async def say(kind: str, seq: int, stream: str | None = None) -> None:
            named = {} if stream is None else {"stream": stream}
            await connection.send(json.dumps({"type": kind, "seq": seq} | named))

        assert connection.request
        asked.append(connection.request.path.partition("?")[2])
        if len(asked) == 1:
            await say("caught_up", 2)
            for seq in (3, 4):
                await say("entry", seq)
        for seq in range(1, 7):
            await say("letter", seq, "letters/1")
        if len(asked) == 1:
            await connection.close(1011)
            return
        await say("caught_up", 6, "letters/1")
        await say("caught_up", 4)
        await say("letter", 7, "letters/1")
        await say("history_gap", 2000, "letters/2")
        for seq in (2000, 2001):
            await say("letter", seq, "letters/2")
        await say("entry", 5)
        await connection.wait_closed()

    client = await start(url=await strange(several_streams), after=2, backoff=10)
    seen = [(message["type"], message.get("stream"), message["seq"]) for message in await client.messages(12)]
    assert seen == [
        *[("entry", None, seq) for seq in (3, 4)],
        *[("letter", "letters/1", seq) for seq in range(1, 8)],
        *[("history_gap", "letters/2", 2000), ("letter", "letters/2", 2001), ("entry", None, 5)],
    ]
    assert asked == ["after=2", "after=4"]
    for stream, position in ((None, 5), ("letters/1", 7), ("letters/2", 2001), ("letters/3", None)):
        client.tell("position", stream)
        assert await client.event("position") == position


async def test_a_right_that_ends_is_told_and_the_connection_goes_on(
    start: Start, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    async def forbidding(connection: ServerConnection) -> None:
        async def say(**message: object) -> None:
            await connection.send(json.dumps(message))

        said = json.loads(await connection.recv())
        await say(type="error", code="forbidden", message="no longer", stream="rooms/1")
        await say(type="error", code="unavailable", message="of an authenticate, say")
        await say(type="entry_created", seq=1, client_id=said["client_id"])
        said = json.loads(await connection.recv())
        await say(type="error", code="forbidden", message="not you", client_id=said["client_id"])
        await connection.wait_closed()

    client = await start(url=await strange(forbidding))
    client.tell("deliver", entry("allowed"))
    assert (await client.event("message"))["stream"] == "rooms/1"
    assert (await client.event("message"))["code"] == "unavailable"
    assert (await client.event("answer"))["seq"] == 1, "neither of them is its answer"
    client.tell("deliver", entry("forbidden"))
    assert await client.event("problem") == {"code": "forbidden", "message": "not you"}
    assert [event["out"]["body"] for event in client.events if "out" in event] == ["allowed", "forbidden"]


async def test_a_message_too_big_is_the_end_and_says_so(service: Service, start: Start, room: int) -> None:
    client = await start(**entries(service, room, 1))
    await client.state("live")
    client.tell("deliver", entry("x" * 200_000))
    closed = await client.state("closed")
    assert closed["code"] == 1009
    assert closed["reason"]
    assert (await client.event("problem"))["code"] == "closed"


async def test_a_message_that_cannot_be_read_is_refused_once(service: Service, start: Start, room: int) -> None:
    client = await start(**entries(service, room, 1))
    await client.state("live")
    for unreadable in (entry("\ud800"), entry("x") | {"client_id": 5}, entry("x") | {"client_id": "y" * 200}):
        client.tell("deliver", unreadable)
        assert (await client.event("problem"))["code"] in {"invalid_json", "invalid_message"}
    assert (await client.deliver(entry("fine")))["seq"] == 1
    assert len([event for event in client.events if event.get("out", {}).get("type") == "new_entry"]) == 4


async def test_what_came_too_fast_is_said_again(start_service: StartService, start: Start) -> None:
    service = start_service(RATE_LIMIT="1", RATE_LIMIT_BURST="2")
    client = await start(**entries(service, 1, 1))
    for number in range(4):
        client.tell("deliver", entry(str(number)))
    assert [(await client.event("answer", within=30))["seq"] for _ in range(4)] == [1, 2, 3, 4]
    assert any(event.get("in", {}).get("code") == "rate_limited" for event in client.events)


async def test_delays_are_random_below_a_bound_that_doubles(start: Start) -> None:
    client = await start(url=f"ws://{HOST}:9/ws", backoff=40)
    waits = [await client.state("waiting") for _ in range(6)]
    assert [wait["attempt"] for wait in waits] == [1, 2, 3, 4, 5, 6]
    assert all(wait["wait"] <= 40 * 2**number for number, wait in enumerate(waits))
    assert len({wait["wait"] for wait in waits}) > 2, "full jitter"


async def test_closing_ends_it_and_says_what_was_not_confirmed(start: Start) -> None:
    client = await start(url=f"ws://{HOST}:9/ws", backoff=20_000)
    client.tell("deliver", entry("a"))
    await client.state("waiting")
    started = time.monotonic()
    client.tell("retry")
    await client.state("connecting")
    assert time.monotonic() - started < 2, "retry does not wait"
    client.tell("close")
    await client.state("closed")
    assert (await client.event("problem"))["code"] == "closed"


@pytest.mark.needs("npm")
def test_its_types_hold(tmp_path: Path) -> None:
    integrity = "sha512-jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw=="
    compiler = npm_package(TYPESCRIPT, integrity, tmp_path) / "lib" / "tsc.js"
    options = "--noEmit --allowJs --checkJs --strict --skipLibCheck --target es2022 --module esnext"
    options += " --lib es2023,dom,dom.iterable --moduleResolution bundler"
    command = [str(NODE), str(compiler), *options.split(), str(CLIENT)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (result.returncode, result.stdout) == (0, "")
