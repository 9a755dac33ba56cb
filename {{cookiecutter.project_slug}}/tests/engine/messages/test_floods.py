"""Clients that send without pause, or that never come to an end: others are served, and nothing grows."""

import asyncio
import time

import psutil
import pytest

from tests.engine.kit.http_client import http_client
from tests.engine.kit.raw import PING, RawClient, frame
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token

PATH = "/ws/letters"
FLOODS = {
    "pings": frame(PING, b"") * 20_000,
    "empty pieces": frame(0, b"", final=False) * 20_000,
    "text over the rate": frame(1, b'{"type":"ping"}') * 5_000,
}
HEAD = b"POST /api/letters HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
ENDLESS = {
    "headers": (b"GET / HTTP/1.1\r\n", b"X: " + b"x" * 1000 + b"\r\n"),
    "a header": (b"GET / HTTP/1.1\r\nX: ", b"x" * 1000),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: " + b"x" * 1000 + b"\r\n"),
    "a trailer": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: ", b"x" * 1000),
    "a chunk's size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;", b"x" * 1000),
}
SLOW = {
    "nothing at all": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "half a body": HEAD + b"Content-Length: 100\r\n\r\n{",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{",
    "a body nobody reads": b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_who_sends_without_pause_leaves_others_their_turn(strict: Service, user: int, flood: str) -> None:
    start = frame(1, b"a", final=False) if flood == "empty pieces" else b""
    async with RawClient.connected(strict.port, PATH, token(user)) as client:
        await client.send(start)

        flooding = asyncio.create_task(send_for_ever(client, FLOODS[flood]))
        took = []
        async with http_client(strict.http, timeout=30) as visitor:
            for _ in range(7):
                started = time.monotonic()
                assert (await visitor.get("/healthz")).status_code == 200
                took.append(time.monotonic() - started)
                await asyncio.sleep(0.1)
        flooding.cancel()
    assert sorted(took)[len(took) // 2] < 1, took


async def send_for_ever(client: RawClient, data: bytes) -> None:
    while True:
        await client.send(data)


def memory(service: Service) -> int:
    return sum(psutil.Process(worker.pid).memory_info().rss for worker in service.workers())


@pytest.mark.parametrize("part", ENDLESS)
async def test_a_request_without_an_end_is_dropped_before_it_fills_the_memory(service: Service, part: str) -> None:
    start, more = ENDLESS[part]
    before = memory(service)
    async with RawClient.unshaken(service.port) as client:
        await client.send(start)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_for_ever(client, more), 30)
    assert memory(service) - before < 32 * 2**20


async def test_a_request_that_does_not_arrive_is_given_up_after_ten_seconds(service: Service) -> None:
    async def given_up(data: bytes) -> float:
        async with RawClient.unshaken(service.port) as client:
            await client.send(data)
            started = time.monotonic()
            try:
                while await client.read_some(within=20):
                    pass
            except ConnectionError:
                pass
            return time.monotonic() - started

    for took in await asyncio.gather(*map(given_up, SLOW.values())):
        assert took < 15
