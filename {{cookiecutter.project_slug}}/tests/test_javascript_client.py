"""The JavaScript client keeps what it promises: in Node, against a real service and against a strange one."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.commands import PROJECT
from tests.conftest import StartService
from tests.javascript import NODE, npm_package, run_node
from tests.postgres import Address
from tests.running import HOST, Service
from tests.tokens import token

CLIENT = PROJECT / "service" / "web" / "client.js"
TYPESCRIPT = "typescript@5.9.3"
Event = dict[str, Any]
Start = Callable[..., Awaitable["JavaScriptClient"]]
Behaviour = Callable[[ServerConnection], Awaitable[None]]


class JavaScriptClient:
    """A client in a Node process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[Event] = []

    def tell(self, command: str, argument: Any = None) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({command: argument}).encode() + b"\n")

    async def event(self, kind: str, within: float = 15) -> Any:
        """The next event of a kind; others are kept in `events`."""
        assert self._process.stdout
        async with asyncio.timeout(within):
            while line := await self._process.stdout.readline():
                self.events.append(json.loads(line))
                if kind in self.events[-1]:
                    return self.events[-1][kind]
        raise AssertionError(f"no {kind}: the client ended after {self.events}")

    async def state(self, name: str, within: float = 15) -> Event:
        """The next state of this name."""
        async with asyncio.timeout(within):
            while (state := await self.event("state", within))["name"] != name:
                pass
        assert isinstance(state, dict)
        return state

    async def messages(self, count: int) -> list[Event]:
        return [await self.event("message") for _ in range(count)]

    async def deliver(self, body: str, **fields: Any) -> Event:
        self.tell("deliver", {"type": "new_comment", "body": body} | fields)
        answer = await self.event("answer")
        assert isinstance(answer, dict)
        return answer


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
    processes: list[asyncio.subprocess.Process] = []

    async def begin(**options: Any) -> JavaScriptClient:
        process = await asyncio.create_subprocess_exec(
            NODE,
            PROJECT / "tests" / "client_driver.mjs",
            json.dumps({"module": CLIENT.as_uri()} | options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            limit=2**24,
        )
        processes.append(process)
        return JavaScriptClient(process)

    yield begin
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def comments(service: Service, post: int, user: int, **options: Any) -> dict[str, Any]:
    return {"kind": "liveComments", "origin": service.http, "post": post, "token": token(user), "after": 0} | options


async def test_the_guides_examples_run(service: Service, post: int, tmp_path: Path) -> None:
    guide = (PROJECT / "docs" / "javascript-client.md").read_text()
    comments_of_a_post, endpoint_of_your_own = re.findall(r"^```js\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    script = f"""
        globalThis.location = {{ origin: "{service.http}", href: "{service.http}/" }};
        const [token, onMessage, show, showState] = ["{token(1)}", () => {{}}, () => {{}}, () => {{}}];
        const tokenOfMyUser = () => token;
        {comments_of_a_post}
        {{ {endpoint_of_your_own} connection.close(); }}
        connection.close();
        console.log(seq);
    """
    example = tmp_path / "example.mjs"
    example.write_text(script.replace('"/client.js"', f'"{CLIENT.as_uri()}"').replace("post: 1,", f"post: {post},"))
    assert await asyncio.to_thread(run_node, example) == 1


async def test_comments_are_confirmed_and_seen_by_others(service: Service, start: Start, post: int) -> None:
    writer = await start(**comments(service, post, 1))
    reader = await start(**comments(service, post, 2))
    await reader.state("live")
    answers = [await writer.deliver(body) for body in ("a", "b")]
    assert [answer["seq"] for answer in answers] == [1, 2]
    assert [(seen["seq"], seen["body"], seen["author_id"]) for seen in await reader.messages(2)] == [
        (1, "a", 1),
        (2, "b", 1),
    ]
    assert [event for event in writer.events if "message" in event] == []


async def test_it_comes_in_with_a_ticket_or_with_the_token_as_a_subprotocol(
    service: Service, start: Start, post: int
) -> None:
    tickets = service.log().count("/api/tickets")
    unused = service.database.value("select count(*) from tickets")
    client = await start(**comments(service, post, 1))
    await client.state("live")
    assert service.log().count("/api/tickets") == tickets + 1
    assert service.database.value("select count(*) from tickets") <= unused, "used"
    client = await start(**comments(service, post, 1, tickets=False))
    await client.state("live")
    assert service.log().count("/api/tickets") == tickets + 1, "one request less"


async def test_a_killed_server_loses_and_doubles_nothing(start_service: StartService, start: Start) -> None:
    service = start_service()
    writer = await start(**comments(service, 1, 1))
    reader = await start(**comments(service, 1, 2))
    await reader.state("live")
    await writer.state("live")
    for number in range(30):
        writer.tell("deliver", {"type": "new_comment", "body": str(number)})
        if number % 10 == 5:
            await asyncio.sleep(0.05)
            for worker in service.workers():
                worker.kill()
    answers = [await writer.event("answer") for _ in range(30)]
    assert [answer["seq"] for answer in answers] == list(range(1, 31)), "in order, each once"
    seen = await reader.messages(30)
    assert [(message["seq"], message["body"]) for message in seen] == [(n + 1, str(n)) for n in range(30)]
    assert service.database.value("select count(*) from comments") == 30


async def test_a_restart_is_waited_for_as_long_as_the_server_says(
    start_service: StartService, start: Start, postgres: Address
) -> None:
    database = postgres.create_database()
    service = start_service(database=database, DRAIN_SECONDS="0.2")
    client = await start(**comments(service, 1, 1))
    await client.deliver("before")
    service.terminate()
    waiting = await client.state("waiting")
    assert waiting["code"] == 1012
    told = next(event["in"] for event in client.events if event.get("in", {}).get("type") == "reconnect")
    assert abs(waiting["wait"] - told["delay_ms"]) < 100
    client.tell("deliver", {"type": "new_comment", "body": "meanwhile"})
    service.wait()
    start_service(database=database, PORT=str(service.port))
    client.tell("retry")
    assert (await client.event("answer", within=30))["seq"] == 2


async def test_a_newer_token_is_shown_before_the_old_one_expires(service: Service, start: Start, post: int) -> None:
    expiry = time.time() + 3
    client = await start(**comments(service, post, 1, token=token(1, exp=expiry)))
    await client.state("live")
    client.tell("token", token(1, ttl=3600))
    assert (await client.event("out"))["type"] == "authenticate"
    assert (await client.event("in"))["type"] == "authenticated"
    await asyncio.sleep(expiry + 0.5 - time.time())
    await client.deliver("still here")
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


async def test_a_refused_token_without_a_newer_one_is_the_end(service: Service, start: Start, post: int) -> None:
    fixed = await start(**comments(service, post, 1, token=token(1, ttl=-1), fixed=True))
    assert "expired" in (await fixed.state("closed"))["reason"]
    asked = await start(**comments(service, post, 1, token=token(1, ttl=-1), backoff=50))
    assert (await asked.state("closed"))["code"] == 1008
    assert sum("asked" in event for event in asked.events) == 2, "it asks for a newer one"


async def test_a_long_absence_is_filled_in_by_http(service: Service, start: Start, post: int) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('comments:{post}', 2500)")
    service.database.execute(
        "insert into comments (post_id, seq, author_id, body, created_at)"
        f" select {post}, n, '7', 'comment ' || n, now() from generate_series(1, 2500) n"
    )
    client = await start(**comments(service, post, 1))
    assert [message["seq"] for message in await client.messages(2500)] == list(range(1, 2501))
    await client.state("live")
    assert any(event.get("in", {}).get("type") == "history_gap" for event in client.events)
    assert (await client.deliver("now"))["seq"] == 2501


async def test_a_long_absence_from_notifications_is_filled_in_by_http(
    service: Service, start: Start, user: int
) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('notifications:{user}', 1500)")
    service.database.execute(
        "insert into notifications (user_id, seq, data, created_at)"
        f" select '{user}', n, '{{}}', now() from generate_series(1, 1500) n"
    )
    client = await start(kind="notifications", origin=service.http, token=token(user), after=0)
    messages = await client.messages(1500)
    assert [(message["type"], message["seq"]) for message in messages] == [
        ("notification", seq) for seq in range(1, 1501)
    ]


def test_outside_a_page_it_asks_where_the_service_is(tmp_path: Path) -> None:
    script = tmp_path / "script.mjs"
    script.write_text(f"""
import {{ liveComments, notifications }} from {json.dumps(CLIENT.as_uri())};
const answers = [];
for (const client of [liveComments, notifications]) try {{ client({{ post: 1 }}) }} catch (error) {{
  answers.push(error.message.includes("origin"));
}}
console.log(JSON.stringify(answers));
""")
    assert run_node(script) == [True, True]


async def test_a_server_that_does_not_answer_is_left(start_service: StartService, start: Start) -> None:
    service = start_service(HEARTBEAT_INTERVAL="0")
    client = await start(**comments(service, 1, 1, heartbeat=200, patience=700))
    await client.deliver("alive")
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
    service = start_service(HEARTBEAT_INTERVAL="0.2", HEARTBEAT_TIMEOUT="0.3")
    client = await start(**comments(service, 1, 1))
    for _ in range(2):
        assert (await client.event("out"))["type"] == "pong"
    client.tell("position")
    assert await client.event("position") == 0
    assert not any(event.get("state", {}).get("name") == "waiting" for event in client.events)


async def test_what_the_server_refuses_is_a_problem_and_what_it_cannot_do_now_is_said_again(
    service: Service, start: Start, post: int, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    client = await start(**comments(service, post, 1))
    await client.state("live")
    client.tell("deliver", {"type": "new_comment", "body": "x" * 4001})
    assert (await client.event("problem"))["code"] == "invalid_message"
    client.tell("deliver", {"type": "new_comment", "body": ""})
    assert (await client.event("problem"))["code"] == "invalid_message"
    client.tell("send", {"type": "nonsense"})
    assert (await client.event("message"))["code"] == "invalid_message"
    assert (await client.deliver("fine"))["seq"] == 1

    async def busy(connection: ServerConnection) -> None:
        said = json.loads(await connection.recv())
        error = {"type": "error", "code": "unavailable", "message": "not now", "client_id": said["client_id"]}
        await connection.send(json.dumps(error))
        again = json.loads(await connection.recv())
        assert again == said
        await connection.send(json.dumps({"type": "comment_created", "seq": 1, "client_id": said["client_id"]}))
        await connection.wait_closed()

    patient = await start(url=await strange(busy))
    assert (await patient.deliver("a"))["seq"] == 1


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
                await connection.send(json.dumps({"type": "comment_created", "seq": 1, "client_id": client_id}))

    client = await start(url=await strange(picky))
    await client.state("live")
    client.tell("send", {"type": "nonsense"})
    assert (await client.deliver("good"))["seq"] == 1, "the error was the other message's"
    client.tell("deliver", {"type": "new_comment", "body": "never"})
    client.tell("send", {"type": "authenticate", "token": "old"})
    assert (await client.event("problem"))["code"] == "invalid_message"
    refused = [message for message in heard if message.get("body") == "never"]
    assert len(refused) == 2, "when in doubt it is said once more, and not for ever"
    assert (await client.deliver("after"))["seq"] == 1


async def test_a_stream_that_was_restored_from_a_backup_is_followed_from_its_end(
    start: Start, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    async def restored(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "caught_up", "seq": 3}))
        await connection.send(json.dumps({"type": "comment", "seq": 4}))
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
        await connection.send(json.dumps({"type": "comment_created", "seq": 8, "client_id": said["client_id"]}))
        if len(asked) == 1:
            await connection.close(1011)
            return
        for seq in (6, 7, 8):
            await connection.send(json.dumps({"type": "comment", "seq": seq}))
        await connection.wait_closed()

    client = await start(url=await strange(overtaking), after=6, backoff=10)
    await client.deliver("a")
    await client.state("connecting")
    client.tell("deliver", {"type": "new_comment", "body": "b"})
    assert (await client.event("message"))["seq"] == 7, "not 6 and not 8: these are known"
    client.tell("position")
    assert await client.event("position") == 8
    assert [path.partition("?")[2] for path in asked] == ["after=6", "after=6"]


def codes_in_the_guide() -> dict[int, str]:
    """The table of close codes in docs/protocol.md: what it says about reconnecting."""
    table = (PROJECT / "docs" / "protocol.md").read_text().partition("## Close codes")[2]
    return {
        int(code): rule.strip() for code, rule in re.findall(r"^\| (\d{4}) \|[^|]*\|([^|]*)\|$", table, re.MULTILINE)
    }


CODES = {
    "as you like": "closed",
    "no: a bug": "closed",
    "with a new token": "closed",
    "with back-off": "waiting",
    "after `delay_ms`": "waiting",
    "at once": "at once",
}


@pytest.mark.parametrize(("code", "rule"), codes_in_the_guide().items())
async def test_every_close_code_is_obeyed_as_the_guide_says(
    code: int, rule: str, start: Start, strange: Callable[[Behaviour], Awaitable[str]]
) -> None:
    async def closing(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "reconnect", "delay_ms": 4321}) if code == 1012 else "{}")
        await connection.close(code, "because")

    client = await start(url=await strange(closing), token="a.b.c", fixed=True, tickets=False, backoff=20_000)
    expected = CODES[rule]
    if expected == "closed":
        closed = await client.state("closed")
        assert closed["code"] == code or "refused" in closed["reason"]
        return
    waiting = await client.state("waiting")
    assert (waiting["code"], waiting["reason"], waiting["attempt"]) == (code, "because", 1)
    if expected == "at once":
        assert waiting["wait"] < 50
    elif code == 1012:
        assert 4200 < waiting["wait"] <= 4321
    else:
        assert 0 <= waiting["wait"] <= 20_000


async def test_delays_are_random_below_a_bound_that_doubles(start: Start) -> None:
    client = await start(url=f"ws://{HOST}:9/ws", backoff=40)
    waits = [await client.state("waiting") for _ in range(6)]
    assert [wait["attempt"] for wait in waits] == [1, 2, 3, 4, 5, 6]
    assert all(wait["wait"] <= 40 * 2**number for number, wait in enumerate(waits))
    assert len({wait["wait"] for wait in waits}) > 2, "full jitter"


async def test_closing_ends_it_and_says_what_was_not_confirmed(start: Start) -> None:
    client = await start(url=f"ws://{HOST}:9/ws", backoff=20_000)
    client.tell("deliver", {"type": "new_comment", "body": "a"})
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
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (result.returncode, result.stdout) == (0, "")
