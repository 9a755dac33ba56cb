"""Every way a connection ends has a code and a reason: on the wire, in the log and in the metrics."""

import asyncio
import json

import pytest

from service.engine.foundation import endings
from service.engine.foundation.endings import ENDINGS, Ending
from tests.engine.kit.client import connected
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually


@pytest.fixture
def service(shared_service: StartService) -> Service:
    """A service that keeps a log of its own."""
    return shared_service(LOG_LEVEL="DEBUG", MAX_MESSAGE_BYTES="60000")


async def count(service: Service, code: int) -> float:
    lines = (await asyncio.to_thread(service.get, "/metrics")).text.splitlines()
    wanted = f'websocket_closes_total{{code="{code}"}} '
    return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


def logged(service: Service, path: str) -> list[tuple[int, str]]:
    """How connections to a path ended, by the log."""
    return [
        (line["code"], line["reason"])
        for line in service.log_lines()
        if line["event"] == "connection_closed" and line["path"] == path
    ]


@pytest.mark.parametrize(
    ("path", "ending", "code"),
    [("/ws/problem-inside", endings.REFUSED, "thrown_out"), ("/ws/outage-inside", endings.UNAVAILABLE, "unavailable")],
)
async def test_a_problem_after_the_client_was_let_in_is_told_and_ends_it(
    service: Service, connect: Connect, path: str, ending: Ending, code: str
) -> None:
    before, closes = len(logged(service, path)), await count(service, ending.code)
    found = await (await connect(service, path)).ending()
    welcome, problem = found.raw
    assert (welcome, json.loads(problem)["code"]) == ("welcome", code)
    assert (found.code, found.reason) == (ending.code, ending.reason)
    await eventually(lambda: len(logged(service, path)) > before, "it is logged")
    assert logged(service, path)[-1] == (ending.code, ending.reason)
    assert await count(service, ending.code) == closes + 1
    assert [line for line in service.log_lines() if line["event"] == "endpoint_failed" and line["path"] == path] == []


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (endings.BINARY_NOT_ALLOWED, [b"{}"]),
        (endings.BAD_MESSAGES, ["nonsense"] * 10),
        (endings.TOO_BIG, ["x" * 70_000]),
        (endings.TOKEN_EXPIRED, []),
    ],
    ids=lambda value: getattr(value, "reason", ""),
)
async def test_the_wire_the_log_and_the_metrics_say_what_the_table_says(
    service: Service, connect: Connect, room: int, ending: Ending, said: list[str | bytes]
) -> None:
    path, closes = f"/ws/rooms/{room}", await count(service, ending.code)
    client = await connect(service, path, token=token(1, ttl=60 if said else 3))
    for frame in said:
        await client.send_raw(frame)
    assert await client.closed() == (ending.code, ending.reason)
    await eventually(lambda: logged(service, path), "it is logged")
    assert logged(service, path) == [(ending.code, ending.reason)]
    assert await count(service, ending.code) == closes + 1


async def test_what_a_client_invents_is_one_label(service: Service, room: int) -> None:
    """A metric must not have a series for each code that somebody can think of."""
    path = f"/ws/rooms/{room}"
    for code in (3000, 3001, 4999):
        async with connected(service.ws, path, user=1) as client:
            await client.websocket.close(code, "mine")
    await eventually(lambda: len(logged(service, path)) == 3, "all are logged")
    assert [code for code, _ in logged(service, path)] == [3000, 3001, 4999]
    text = (await asyncio.to_thread(service.get, "/metrics")).text
    assert 'websocket_closes_total{code="other"}' in text
    assert not [code for code in (3000, 3001, 4999) if f'code="{code}"' in text]


def test_no_two_endings_look_alike_and_each_fits_into_a_frame() -> None:
    assert len({(ending.code, ending.reason) for ending in ENDINGS}) == len(ENDINGS)
    assert all(len(ending.reason.encode()) <= 123 for ending in ENDINGS), "RFC 6455 §5.5"
    assert {endings.label(ending) for ending in ENDINGS} == {str(ending.code) for ending in ENDINGS}
    assert endings.label(None) == endings.label(endings.of_client(3000)) == "other"
