"""Signals beside events: to the last who follow a stream, with signals at ten times their rate and without any."""

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator
from time import perf_counter

from tests.engine.kit.client import connected
from tests.engine.kit.postgres import Cluster
from tests.engine.kit.raw import TEXT, frame
from tests.engine.kit.running import HOST, Service

from benchmarks.fanout_latency import Subscriber
from benchmarks.stalled_reader import stall

SUBSCRIBERS, RATE, SECONDS, RUNS = 200, 20, 6, 5
SIGNALS = 100
"""A second: ten times what a connection may send."""
BODY = "x" * 1000
STREAMS = "/ws/streams"


def subscribe(post: int) -> str:
    return f'{{"type":"subscribe","stream":"comments/{post}"}}'


async def p99(service: Service, post: int, *, signals: bool) -> float:
    """Milliseconds from sending a comment to its arrival at the last subscriber that reads."""
    loop = asyncio.get_running_loop()
    subscribers = [Subscriber(user, STREAMS) for user in range(SUBSCRIBERS)]
    transports = []
    for subscriber in subscribers:
        transport, _ = await loop.create_connection(lambda one=subscriber: one, HOST, service.port)  # type: ignore[misc]
        await subscriber.accepted
        transport.write(frame(TEXT, subscribe(post).encode()))
        transports.append(transport)
    stalled = await stall(service, STREAMS, SUBSCRIBERS + 1)
    await loop.sock_sendall(stalled, frame(TEXT, subscribe(post).encode()))
    sent: list[float] = []
    async with (
        connected(service.ws, f"/ws/live-comments/{post}", user=SUBSCRIBERS) as writer,
        signalling(service, post, signals),
    ):
        for number in range(RATE * SECONDS):
            sent.append(perf_counter())
            await writer.ask({"type": "new_comment", "body": BODY})
            await asyncio.sleep(max(0, sent[0] + (number + 1) / RATE - perf_counter()))
    await asyncio.sleep(0.5)
    for transport in transports:
        transport.abort()
    stalled.close()
    assert all(len(subscriber.arrivals) == len(sent) for subscriber in subscribers), "a comment did not reach everybody"
    last = [max(arrivals) for arrivals in zip(*(subscriber.arrivals for subscriber in subscribers), strict=True)]
    latencies = sorted(1000 * (end - start) for start, end in zip(sent, last, strict=True))
    return latencies[int(len(latencies) * 0.99)]


@contextlib.asynccontextmanager
async def signalling(service: Service, post: int, wanted: bool) -> AsyncIterator[None]:
    """Somebody who signals in the block."""
    if not wanted:
        yield
        return
    async with connected(service.ws, STREAMS, user=SUBSCRIBERS + 2) as client:
        await client.send({"type": "subscribe", "stream": f"comments/{post}"})

        async def signal() -> None:
            while True:
                await client.send({"type": "signal", "stream": f"comments/{post}", "data": {"typing": True}})
                await asyncio.sleep(1 / SIGNALS)

        task = asyncio.create_task(signal())
        try:
            yield
        finally:
            task.cancel()


async def compare(service: Service) -> str:
    runs = [
        (await p99(service, 2 * run + 1, signals=False), await p99(service, 2 * run + 2, signals=True))
        for run in range(RUNS)
    ]
    without, beside = (statistics.median(column) for column in zip(*runs, strict=True))
    return (
        f"To the last of {SUBSCRIBERS} who follow a stream by `/ws/streams` beside one that never reads, {RATE} "
        f"comments a second: p99 {without:.1f} ms, and {beside:.1f} ms while somebody signals {SIGNALS} times "
        f"a second, ten times what they may ({beside / without:.2f} times as much; medians of {RUNS} alternating runs)."
    )


def signals(cluster: Cluster) -> list[str]:
    service = Service(cluster.address.create_database(), {"MAX_CONNECTIONS_PER_USER": "2000"})
    try:
        return [asyncio.run(compare(service))]
    finally:
        service.discard()
