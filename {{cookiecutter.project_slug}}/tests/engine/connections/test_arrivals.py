"""Who has connected gets its time to ask for something, and no more."""

import asyncio
from time import monotonic

import pytest

from service.engine.link import arrival
from tests.engine.application.endpoints import faulty
from tests.engine.http.wire import request
from tests.engine.kit.in_process import serving
from tests.engine.kit.raw import TEXT, RawClient
from tests.engine.kit.waiting import eventually

PATIENCE = 0.5
"""Seconds, instead of ten."""


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "REQUEST_SECONDS", PATIENCE)


@pytest.mark.usefixtures("_short")
async def test_who_says_nothing_is_let_go_each_after_its_own_time() -> None:
    async with serving(faulty.router) as (port, state):
        for _ in range(2):  # the second time when nobody is waited for any more
            async with RawClient.unshaken(port) as first:
                connected = monotonic()
                await asyncio.sleep(PATIENCE / 2)
                async with RawClient.unshaken(port) as second:
                    ends = [await client.read_some() for client in (first, second)]
                    assert ends == [b"", b""]
                    assert monotonic() - connected > PATIENCE * 1.4
        await eventually(lambda: not state.connections, "they are gone")


@pytest.mark.usefixtures("_short")
async def test_who_has_asked_may_stay() -> None:
    async with serving(faulty.router) as (port, _), RawClient.unshaken(port) as client:
        await client.shake_hands(port, "/ws/echo", "")
        async with RawClient.unshaken(port) as requesting:
            await requesting.send(request())
            assert (await requesting.read_some()).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(PATIENCE * 2)
            await client.send_frame(TEXT, b"hello")
            assert await client.read_frame() == (TEXT, b"Echo: hello")
            await requesting.send(request())
            assert (await requesting.read_some()).startswith(b"HTTP/1.1 200")


async def test_who_has_said_nothing_does_not_keep_a_server_that_stops() -> None:
    async with serving(faulty.router) as (port, state), RawClient.unshaken(port) as client:
        await eventually(lambda: state.connections, "it is connected")
        for connection in list(state.connections):
            connection.shutdown()
        assert await client.read_some() == b""
        await eventually(lambda: not state.connections, "it is gone")


async def test_who_leaves_without_a_word_leaves_nothing() -> None:
    async with serving(faulty.router) as (port, state):
        for leave in (RawClient.finish, RawClient.reset):
            async with RawClient.unshaken(port) as client:
                await eventually(lambda: state.connections, "it is connected")
                leave(client)
                await eventually(lambda: not state.connections, "it is gone")
