"""Connections that balancers and proxies keep: none is closed under their hands, and none is kept for ever."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, cast

import psycopg
import pytest
import uvicorn
from uvicorn.server import ServerState

from service.engine.link.uvicorn_http import BoundedHttpProtocol
from tests.engine.http.wire import PING, handshake, opened, request
from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.raw import RawClient
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

SHORT, LONG = 1.0, 6.0


@pytest.fixture
def short(shared_service: StartService) -> Service:
    return shared_service(KEEP_ALIVE=str(SHORT))


@contextmanager
def nobody_reads_entries(service: Service) -> Iterator[None]:
    """A request for them takes as long as the block."""
    with psycopg.connect(service.database.url) as connection:
        connection.execute("lock table entries in access exclusive mode")
        yield
        connection.rollback()


async def test_a_kept_connection_lives_as_long_as_the_setting_says(shared_service: StartService) -> None:
    async with opened(shared_service(KEEP_ALIVE=str(LONG))) as wire:
        await wire.send(request())
        assert (await wire.answer()).status == 200
        await asyncio.sleep(LONG * 2 / 3)
        await wire.send(request())
        assert (await wire.answer()).status == 200
        assert LONG * 2 / 3 < await wire.ends() < LONG * 2


async def test_by_default_it_outlives_the_idle_timeout_of_a_load_balancer(service: Service) -> None:
    """Two and five seconds are the defaults of the servers below, 60 that of AWS: once is enough to tell them apart."""
    async with opened(service) as wire:
        await wire.send(request())
        await wire.answer()
        await asyncio.sleep(6)
        await wire.send(request())
        assert (await wire.answer()).status == 200


async def test_a_get_before_a_handshake_does_not_cost_the_websocket(short: Service) -> None:
    async with opened(short) as wire:
        await wire.send(request(), handshake())
        assert [(await wire.answer()).status, (await wire.answer()).status] == [200, 101]
        await asyncio.sleep(SHORT + 0.5)
        await wire.lives()


async def test_a_handshake_waits_for_the_answers_before_its_own(service: Service, room: int) -> None:
    authorization = f"Authorization: Bearer {token(7)}"
    slow, quick = request("GET", f"/api/rooms/{room}/entries", authorization), request()
    async with opened(service) as wire:
        with nobody_reads_entries(service):
            await wire.send(slow, quick, handshake())
            await asyncio.sleep(0.5)  # in which the handshake could overtake them
        answers = [await wire.answer() for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 101]
        assert (b"entries" in answers[0].body, b"ok" in answers[1].body) == (True, True)
        await wire.lives()


async def test_what_comes_close_behind_a_handshake_is_not_lost(service: Service) -> None:
    """It should wait for the answer (RFC 6455 §4.1); a client that does not is understood all the same."""
    async with opened(service) as wire:
        await wire.send(request(), handshake(), PING)
        assert [(await wire.answer()).status, (await wire.answer()).status] == [200, 101]
        assert await wire.pong()
    async with opened(service) as wire:
        await wire.send(handshake(), PING[:3])
        await wire.send(PING[3:])
        assert (await wire.answer()).status == 101
        assert await wire.pong()


async def test_nobody_is_closed_while_an_answer_is_due(short: Service, room: int) -> None:
    slow = request("GET", f"/api/rooms/{room}/entries", f"Authorization: Bearer {token(7)}")
    async with opened(short) as wire:
        await wire.send(request(), slow[:20])
        assert (await wire.answer()).status == 200
        with nobody_reads_entries(short):
            await wire.send(slow[20:])
            await asyncio.sleep(SHORT * 2)
        assert (await wire.answer()).status == 200
        assert await wire.ends() < SHORT + 2


async def test_nobody_is_closed_while_a_request_arrives(short: Service) -> None:
    whole = request()
    async with opened(short) as wire:
        await wire.send(whole, whole[:20])
        assert (await wire.answer()).status == 200
        await asyncio.sleep(SHORT * 2)
        await wire.send(whole[20:])
        assert (await wire.answer()).status == 200
        await wire.ends()


async def test_a_body_that_comes_after_its_answer_leaves_the_connection_closed_in_time(short: Service) -> None:
    async with opened(short) as wire:
        await wire.send(request("POST", "/nothing", body=b"x" * 100)[:-50])
        assert (await wire.answer()).status == 404
        await asyncio.sleep(SHORT * 2)
        await wire.send(b"x" * 50, request())
        assert (await wire.answer()).status == 200
        assert await wire.ends() < SHORT + 2


async def test_line_breaks_are_no_request_and_keep_nothing_open(short: Service) -> None:
    async with opened(short) as wire:
        await wire.send(request())
        await wire.answer()
        ending = asyncio.create_task(wire.ends())
        while not ending.done():
            await wire.send(b"\r\n")
            await asyncio.sleep(0.2)
        assert await ending < SHORT + 2


@pytest.mark.parametrize("answers", [1, 20])
async def test_a_client_that_does_not_read_its_answers_is_dropped(short: Service, answers: int) -> None:
    """uvicorn would wait for ever. The bundle of Swagger UI is more than the buffers of the sockets hold."""
    await eventually(lambda: short.open_sockets() == 0, "the others are gone")
    async with RawClient.unshaken(short.port, receive_buffer=4096) as client:
        await client.send(request("GET", "/swagger-ui-bundle.js") * answers)
        assert await client.read_some(), "it is served"
        await eventually(lambda: short.open_sockets() == 0, "it is dropped")


async def test_a_client_that_reads_slowly_is_not(short: Service) -> None:
    async with RawClient.unshaken(short.port, receive_buffer=4096) as client:
        await client.send(request("GET", "/swagger-ui-bundle.js"))
        size, read = len(short.get("/swagger-ui-bundle.js").content), 0
        started = monotonic()
        while read < size:
            read += len(await client.read_some())
            if monotonic() - started < SHORT * 3:
                await asyncio.sleep(0.05)
        assert monotonic() - started > SHORT * 2


async def test_a_process_that_stops_keeps_none(start_service: StartService) -> None:
    """Or a balancer would send it one more request at the moment of its end."""
    stopping = start_service(DRAIN_SECONDS="5")
    async with opened(stopping) as kept, RawClient.connected(stopping.port, "/ws/letters", token(7)):
        await kept.send(request())
        assert (await kept.answer()).all("connection") == []
        stopping.terminate()
        await eventually(lambda: '"draining"' in stopping.log(), "it stops")
        await kept.send(request())
        answer = await kept.answer()
        assert (answer.status, answer.one("connection")) == (200, "close")
        await kept.ends()
    await asyncio.to_thread(stopping.stop)


async def test_a_reset_leaves_no_timer_that_holds_what_is_gone() -> None:
    """uvicorn's own connection would stay in memory until its keep-alive timer fires."""
    config = uvicorn.Config(cast(Any, None), log_level=logging.CRITICAL, log_config=None)
    ours, theirs = socket.socketpair()
    with theirs:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_accepted_socket(
            lambda: BoundedHttpProtocol(config, ServerState(), {}, loop), ours
        )
        protocol.on_message_begin()
        protocol.timeout_keep_alive_task = loop.call_later(60, lambda: None)
        transport.abort()
        protocol.connection_lost(ConnectionResetError())
    assert protocol.timeout_keep_alive_task is None
