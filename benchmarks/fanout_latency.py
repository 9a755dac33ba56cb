"""From sending a comment to its arrival at the last of 1,000 subscribers over two processes, at 20 comments a second.

The subscribers are bare sockets in this process: a client library would take longer to read 1,000 messages than the
service to send them.
"""

import asyncio
import statistics
from time import perf_counter
from typing import cast

import uvloop
from tests.engine.kit.client import connected
from tests.engine.kit.postgres import Cluster
from tests.engine.kit.running import HOST, Service
from tests.engine.kit.tokens import token

SUBSCRIBERS, RATE, SECONDS = 1000, 20, 20
PATH = "/ws/live-comments/1"
HANDSHAKE = (
    "GET {path}?token={token} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Subscriber(asyncio.Protocol):
    """Notes when each comment arrives."""

    def __init__(self, user: int, path: str = PATH) -> None:
        self.accepted = asyncio.get_running_loop().create_future()
        self.arrivals: list[float] = []
        self._user = user
        self._path = path

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(HANDSHAKE.format(path=self._path, token=token(self._user)).encode())

    def data_received(self, data: bytes) -> None:
        if not self.accepted.done():
            assert data.startswith(b"HTTP/1.1 101"), data
            self.accepted.set_result(None)
        else:
            self.arrivals += [perf_counter()] * data.count(b'"comment"')


async def measure(services: list[Service]) -> str:
    loop = asyncio.get_running_loop()
    subscribers = [Subscriber(user) for user in range(SUBSCRIBERS)]
    for number, subscriber in enumerate(subscribers):
        await loop.create_connection(lambda one=subscriber: one, HOST, services[number % len(services)].port)  # type: ignore[misc]
        await subscriber.accepted
    sent: list[float] = []
    async with connected(services[0].ws, PATH, user=SUBSCRIBERS) as writer:
        for number in range(RATE * SECONDS):
            sent.append(perf_counter())
            await writer.ask({"type": "new_comment", "body": f"comment {number}"})
            await asyncio.sleep(max(0, sent[0] + (number + 1) / RATE - perf_counter()))
    await asyncio.sleep(1)
    assert all(len(subscriber.arrivals) == len(sent) for subscriber in subscribers), "a comment did not reach everybody"
    last = [max(arrivals) for arrivals in zip(*(subscriber.arrivals for subscriber in subscribers), strict=True)]
    latencies = sorted(1000 * (end - start) for start, end in zip(sent, last, strict=True))
    p50, p99 = statistics.median(latencies), latencies[int(len(latencies) * 0.99)]
    return (
        f"From sending a comment to its arrival at the last of {SUBSCRIBERS:,} subscribers over {len(services)} "
        f"processes, {RATE} comments a second: p50 {p50:.1f} ms, p99 {p99:.1f} ms. The client shares the two cores."
    )


def fanout_latency(cluster: Cluster) -> list[str]:
    database = cluster.address.create_database()
    services = [Service(database, {"MAX_CONNECTIONS_PER_USER": "2000"}) for _ in range(2)]
    try:
        return [uvloop.run(measure(services))]
    finally:
        for service in services:
            service.discard()
