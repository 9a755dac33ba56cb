"""What clients that never read cost the others, and the process: p99 with one among 500 subscribers, memory with 50.

Runs with and without the stalled reader alternate, each on a post of its own.
"""

import asyncio
import socket
import statistics
from time import perf_counter

from tests.engine.kit.client import connected
from tests.engine.kit.postgres import Cluster
from tests.engine.kit.running import HOST, Service
from tests.engine.kit.tokens import token

from benchmarks.fanout_latency import HANDSHAKE, Subscriber

SUBSCRIBERS, RATE, SECONDS, RUNS = 500, 20, 8, 5
STALLED, BODY = 50, "x" * 4000
OUTBOX = 1_048_576


async def stall(service: Service, path: str, user: int) -> socket.socket:
    """Connect, shake hands, and never read again."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (HOST, service.port))
    await loop.sock_sendall(sock, HANDSHAKE.format(path=path, token=token(user)).encode())
    assert (await loop.sock_recv(sock, 1024)).startswith(b"HTTP/1.1 101")
    return sock


async def p99(service: Service, path: str) -> float:
    """Milliseconds from sending a comment to its arrival at the last subscriber that reads."""
    loop = asyncio.get_running_loop()
    subscribers = [Subscriber(user, path) for user in range(SUBSCRIBERS)]
    transports = []
    for subscriber in subscribers:
        transport, _ = await loop.create_connection(lambda one=subscriber: one, HOST, service.port)  # type: ignore[misc]
        transports.append(transport)
        await subscriber.accepted
    sent: list[float] = []
    async with connected(service.ws, path, user=SUBSCRIBERS) as writer:
        for number in range(RATE * SECONDS):
            sent.append(perf_counter())
            await writer.ask({"type": "new_comment", "body": BODY})
            await asyncio.sleep(max(0, sent[0] + (number + 1) / RATE - perf_counter()))
    await asyncio.sleep(0.5)
    for transport in transports:
        transport.abort()
    last = [max(arrivals) for arrivals in zip(*(subscriber.arrivals for subscriber in subscribers), strict=True)]
    latencies = sorted(1000 * (end - start) for start, end in zip(sent, last, strict=True))
    return latencies[int(len(latencies) * 0.99)]


async def latencies(service: Service) -> str:
    without, beside = [], []
    for run in range(RUNS):
        without.append(await p99(service, f"/ws/live-comments/{2 * run + 1}"))
        path = f"/ws/live-comments/{2 * run + 2}"
        with await stall(service, path, SUBSCRIBERS + 1):
            beside.append(await p99(service, path))
    alone, together = statistics.median(without), statistics.median(beside)
    return (
        f"To the last of {SUBSCRIBERS} subscribers of one process, {RATE} comments a second of {len(BODY):,} bytes: "
        f"p99 {alone:.1f} ms, and {together:.1f} ms beside a client that never reads, {together / alone:.2f} times "
        f"as much (medians of {RUNS} alternating runs)."
    )


async def memory(service: Service) -> str:
    path = "/ws/live-comments/1000"
    stalled = [await stall(service, path, user) for user in range(STALLED)]
    process = max(service.workers(), key=lambda worker: worker.memory_info().rss)
    before = most = process.memory_info().rss
    async with connected(service.ws, path, user=STALLED) as writer:
        for _ in range(2 * OUTBOX // len(BODY)):
            await writer.ask({"type": "new_comment", "body": BODY})
            most = max(most, process.memory_info().rss)
    for sock in stalled:
        sock.close()
    each = (most - before) / STALLED / 1024
    return (
        f"{STALLED} clients that never read cost {each:.0f} KiB more each until they are let go, with "
        f"`MAX_OUTBOX_BYTES` at {OUTBOX:,}: what is sent to all is kept once."
    )


def stalled_reader(cluster: Cluster) -> list[str]:
    service = Service(cluster.address.create_database(), {"MAX_CONNECTIONS_PER_USER": "2000"})
    try:
        taken = asyncio.run(memory(service))  # before anything has left free memory behind
        return [taken, asyncio.run(latencies(service))]
    finally:
        service.discard()
