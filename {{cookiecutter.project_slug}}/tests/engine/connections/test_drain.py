"""A stopping process says goodbye to each client, spread over `DRAIN_SECONDS`, and has ended soon after.

All that is promised happens in one stop of one service with two workers, clients of every kind on it.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.engine.http.wire import opened, request
from tests.engine.kit.client import Client, Ending, Refusal, connected, refused
from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address
from tests.engine.kit.raw import RawClient
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

DRAIN = 3
LISTENERS, WRITERS = 40, 8
QUIET, FLOODED, BUSY = [f"/ws/rooms/{room}" for room in (1, 2, 3)]


@dataclass
class Farewell:
    """What was seen of the stop."""

    started: float = 0
    listeners: list[Ending] = field(default_factory=list)
    echo: Ending | None = None
    health: list[httpx.Response] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    confirmed: int = 0
    stored: int = 0
    writers: set[int | None] = field(default_factory=set)
    exit_code: int | None = None
    took: float = 0
    log: str = ""


@pytest.fixture(scope="module")
def farewell(postgres: Address) -> Iterator[Farewell]:
    """One stop, watched by every kind of client."""
    settings = {"DRAIN_SECONDS": str(DRAIN), "WEB_CONCURRENCY": "2", "MAX_CONNECTIONS_PER_USER": "1000"}
    service = Service(postgres.create_database(), settings)
    try:
        yield asyncio.run(stop_under_load(service))
    finally:
        service.discard()


async def stop_under_load(service: Service) -> Farewell:
    seen = Farewell()
    async with AsyncExitStack() as stack:

        async def open_client(path: str, user: int) -> Client:
            return await stack.enter_async_context(connected(service.ws, path, user=user))

        listeners = [await open_client(QUIET, user) for user in range(1, LISTENERS + 1)]
        writers = [await open_client(BUSY, user) for user in range(1, WRITERS + 1)]
        echo = await open_client("/ws/echo", 1)
        for path in (FLOODED, FLOODED, "/ws/echo"):
            await stack.enter_async_context(RawClient.connected(service.port, path, token(1), receive_buffer=4096))
        await flood(await open_client(FLOODED, 2))
        writing = [asyncio.create_task(write(writer, seen)) for writer in writers]
        await eventually(lambda: seen.confirmed > 3 * WRITERS, "entries are being written")

        service.terminate()
        seen.started = time.monotonic()
        endings = [asyncio.create_task(client.ending(DRAIN + 5)) for client in (*listeners, echo)]
        await look_at_the_door(service, seen)
        *seen.listeners, seen.echo = await asyncio.gather(*endings)
        await asyncio.gather(*writing)
        seen.writers = {writer.websocket.close_code for writer in writers}
        await eventually(lambda: service.process.poll() is not None, "the process has ended", within=DRAIN + 10)
        seen.took = time.monotonic() - seen.started
    seen.exit_code = service.process.returncode
    seen.stored = service.database.value("select count(*) from entries where room_id = 3")
    seen.log = service.log()
    return seen


async def flood(client: Client) -> None:
    """Fill the buffers of whoever does not read."""
    for _ in range(300):
        await client.send({"type": "new_entry", "body": "😀" * 4000})
    assert len(await client.receive_many(300, 20)) == 300


async def write(client: Client, seen: Farewell) -> None:
    """Write one entry after the other, until there is nobody to write to."""
    with suppress(ConnectionClosed):
        while True:
            await client.send({"type": "new_entry", "body": "last words"})
            await client.receive_until("entry_created")
            seen.confirmed += 1


async def look_at_the_door(service: Service, seen: Farewell) -> None:
    """Ask and knock as soon as the drain has begun."""
    async with http_client(service.http, headers={"Connection": "close"}) as http:

        async def unready() -> bool:
            return all([(await http.get("/readyz")).status_code == 503 for _ in range(4)])

        await eventually(unready, "/readyz turns 503", within=DRAIN / 2)
        seen.health = [await http.get(path) for path in ("/readyz", "/healthz", "/metrics")]
    for path in ("/ws/letters", "/ws/echo", QUIET):
        seen.refusals.append(await refused(service.ws, path, user=100))


def test_every_client_is_asked_to_reconnect_and_closed_with_1012(farewell: Farewell) -> None:
    for ending in farewell.listeners:
        assert ending.code == 1012
        assert [message["type"] for message in ending.messages] == ["reconnect"]
        assert set(ending.messages[0]) == {"type", "delay_ms"}


def test_the_delays_are_spread(farewell: Farewell) -> None:
    delays = [ending.messages[0]["delay_ms"] for ending in farewell.listeners]
    assert all(isinstance(delay, int) and delay >= 0 for delay in delays)
    assert len(set(delays)) > LISTENERS / 2


def test_the_goodbyes_are_spread_over_the_drain(farewell: Farewell) -> None:
    times = sorted(ending.at - farewell.started for ending in farewell.listeners)
    assert times[-1] - times[0] > DRAIN / 2
    assert times[-1] < DRAIN + 4
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(times))
    assert gaps[-2] < DRAIN / 3, "one may be the machine's"


def test_the_echo_endpoint_is_closed_without_a_message_of_ours(farewell: Farewell) -> None:
    assert farewell.echo is not None
    assert (farewell.echo.raw, farewell.echo.code) == ([], 1012)


def test_readiness_is_gone_at_once_and_says_why_while_health_stays(farewell: Farewell) -> None:
    ready, health, metrics = farewell.health
    assert ready.status_code == 503
    assert "drain" in ready.text
    assert (health.status_code, metrics.status_code) == (200, 200)


def test_nobody_new_is_let_in(farewell: Farewell) -> None:
    assert {refusal.reason for refusal in farewell.refusals} == {(503, "draining", 1013)}
    assert all(int(refusal.headers["retry-after"]) >= 0 for refusal in farewell.refusals)


def test_what_was_on_its_way_is_stored_and_confirmed_before_the_goodbye(farewell: Farewell) -> None:
    assert farewell.writers == {1012}
    assert farewell.confirmed == farewell.stored


def test_the_process_ends_in_time_whatever_stalled_clients_do(farewell: Farewell) -> None:
    assert farewell.exit_code == 0, farewell.log
    assert farewell.took < DRAIN + 5
    assert "Traceback" not in farewell.log


async def test_a_request_whose_body_does_not_come_is_told_why_it_is_not_waited_for(start_service: StartService) -> None:
    service = start_service()
    lines = (f"Authorization: Bearer {token(1, scope='letters:write')}", "Content-Type: application/json")
    async with opened(service) as wire:
        await wire.send(request("POST", "/api/letters", *lines, "Content-Length: 9", "Expect: 100-continue"))
        assert (await wire.answer()).status == 100, "the body is waited for"
        service.terminate()
        answer = await wire.answer()
        assert (answer.problem, answer.one("connection")) == ((503, "draining"), "close")
        await wire.ends()
    assert service.wait() == 0
