"""What a team puts around operations: once around each of every kind, and what breaks there breaks that one alone."""

import asyncio
import re

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from service.engine.foundation.operations import Operation, nested
from tests.engine.application.around import BREAKS_AFTER, BREAKS_BEFORE, REFUSES
from tests.engine.kit.client import refused
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

MODULE = "tests.engine.application.observed"
ROOM, ROOMS = "/ws/rooms/{room_id}", "rooms/{room_id}"
LINE = re.compile(r"operations_(begun|ended)_total\{(.*)\} (\S+)")
Counts = dict[tuple[str, ...], int]


@pytest.fixture
def service(shared_service: StartService) -> Service:
    return shared_service(module=MODULE)


async def counts(http: httpx.AsyncClient) -> Counts:
    """How often an operation has begun, and how it has ended, by kind, name and outcome."""
    found = LINE.findall((await http.get("/metrics")).text)
    return {(*sorted(re.findall(r'"(.*?)"', labels)), what): int(float(value)) for what, labels, value in found}


async def grown(http: httpx.AsyncClient, before: Counts) -> Counts:
    now = await counts(http)
    return {key: value - before.get(key, 0) for key, value in now.items() if value != before.get(key, 0)}


async def test_every_kind_of_operation_is_wrapped_once(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int
) -> None:
    before = await counts(http)
    client, *others = [await connect(service, f"/ws/rooms/{room}", user=user) for user in (1, 2, 3)]
    await enter(client, "hello")
    for other in others:
        assert (await other.receive())["body"] == "hello"
    assert (await http.get(f"/api/rooms/{room}/entries", headers=bearer(1))).status_code == 200
    assert (await http.get("/api/rooms/x/entries", headers=bearer(1))).status_code == 422
    assert (await http.get("/healthz")).status_code == 200
    expected = {
        ("begun", "handshake", ROOM): 3,
        ("ended", "done", "handshake", ROOM): 3,
        ("begun", "message", ROOM): 1,
        ("ended", "done", "message", ROOM): 1,
        ("begun", "publish", ROOMS): 1,
        ("ended", "done", "publish", ROOMS): 1,
        ("begun", "delivery", ROOMS): 1,
        ("ended", "done", "delivery", ROOMS): 1,
        ("begun", "request", "GET /api/rooms/{room_id}/entries"): 2,
        ("ended", "request", "200", "GET /api/rooms/{room_id}/entries"): 1,
        ("ended", "request", "422", "GET /api/rooms/{room_id}/entries"): 1,
    }
    found = await grown(http, before)
    assert {frozenset(key): value for key, value in found.items()} == {
        frozenset(key): value for key, value in expected.items()
    }


@pytest.mark.parametrize(
    ("path", "outcome"),
    [("/ws/letters", "missing_token"), ("/ws/problem-at-the-door", "not_a_member"), ("/ws/nothing", "not_found")],
)
async def test_a_refused_handshake_has_ended_with_its_reason(
    service: Service, http: httpx.AsyncClient, path: str, outcome: str
) -> None:
    before = await counts(http)
    assert (await refused(service.ws, path)).problem["code"] == outcome
    name = "none" if path == "/ws/nothing" else path
    assert {frozenset(key) for key in await grown(http, before)} == {
        frozenset({"begun", "handshake", name}),
        frozenset({"ended", "handshake", name, outcome}),
    }


@pytest.mark.parametrize("how", [BREAKS_BEFORE, BREAKS_AFTER])
async def test_a_handshake_around_which_something_breaks_is_refused(
    service: Service, connect: Connect, how: str, room: int
) -> None:
    other = await connect(service, f"/ws/rooms/{room}", user=1)
    with pytest.raises(InvalidStatus) as refusal:
        await connect(service, f"/ws/rooms/{room}", user=2, headers={"traceparent": how})
    assert refusal.value.response.status_code == 500
    await other.lives()


async def test_what_is_around_may_refuse(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int
) -> None:
    asked = {"traceparent": REFUSES}
    refusal = await refused(service.ws, f"/ws/rooms/{room}", user=2, headers=asked)
    assert refusal.reason == (403, "closed_today", 1008)
    answer = await http.get(f"/api/rooms/{room}/entries", headers=bearer(1) | asked)
    assert (answer.status_code, answer.json()["code"]) == (403, "closed_today")
    client = await connect(service, f"/ws/rooms/{room}", user=668)
    assert (await enter(client, "hello"))["code"] == "closed_today"
    await client.lives()


@pytest.mark.parametrize("user", [666, 667])
async def test_a_message_around_which_something_breaks_ends_its_connection_alone(
    service: Service, connect: Connect, user: int, room: int
) -> None:
    other, broken = [await connect(service, f"/ws/rooms/{room}", user=each) for each in (1, user)]
    await broken.send({"type": "new_entry", "body": "hello"})
    assert (await broken.closed())[0] == 1011
    if user == 667:  # it was stored before something broke
        assert (await other.receive())["body"] == "hello"
    await other.lives()


async def test_a_request_around_which_something_breaks_is_answered_as_any_bug_is(
    http: httpx.AsyncClient, room: int
) -> None:
    asked = {"traceparent": BREAKS_BEFORE}
    answer = await http.get(f"/api/rooms/{room}/entries", headers=bearer(1) | asked)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


@pytest.mark.parametrize("room", [666, 667])
async def test_an_event_around_which_something_breaks_arrives_all_the_same(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int
) -> None:
    """As one that a broker has lost: the topic reads its table."""
    writer, reader, elsewhere = [
        await connect(service, f"/ws/rooms/{each}", user=user) for user, each in ((1, room), (2, room), (3, 5))
    ]
    for body in ("one", "two"):
        await enter(writer, body)
    assert [(await reader.receive())["body"] for _ in range(2)] == ["one", "two"]
    await enter(writer, "three")
    assert (await reader.receive())["body"] == "three"
    await elsewhere.lives()
    await eventually(lambda: "delivery_failed" in service.log(), "the bug is in the log")


async def test_the_first_is_the_outermost() -> None:
    said: list[str] = []

    class Saying:
        def __init__(self, name: str) -> None:
            self.name = name

        async def __aenter__(self) -> None:
            said.append(f"{self.name} begins")

        async def __aexit__(self, *_: object) -> None:
            said.append(f"{self.name} ends")

    around = nested([lambda _: Saying("outer"), lambda _: Saying("inner")])
    assert around is not None
    async with around(Operation(kind="message", name="/ws/rooms/{room_id}")):
        said.append("operation")
        await asyncio.sleep(0)
    assert said == ["outer begins", "inner begins", "operation", "inner ends", "outer ends"]
    assert nested([]) is None
