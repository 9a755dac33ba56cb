"""Many connections at rest, and many that come back at once, as after a deployment: ours beside some peers."""

import time
from collections.abc import Sequence
from statistics import median

from tests.engine.kit.postgres import Cluster
from tests.engine.kit.running import HOST

from benchmarks.measure import SERVER_CORES, Client, Figures
from benchmarks.servers import Ours, Peer, Running, peers

RESTING, RETURNING = 10_000, 5_000
_AT_ONCE = 1_000
_MISSED = 3
"""Events that each of those who return has missed."""
_RUNS = 3
_BESIDE = {"FastAPI room, uvicorn", "websockets", "ws, Node.js"}

COLUMNS = {
    "memory": f"KiB per connection of {RESTING:,}", "cpu": f"CPU seconds for {RETURNING:,} that return",
    "seconds": "seconds until the last is live", "p99_ms": "p99 ms of ten bystanders",
}  # fmt: skip


def crowd(cluster: Cluster) -> dict[str, Figures]:
    """The medians of interleaved runs, by the server's name."""
    servers: Sequence[Ours | Peer] = [Ours(cluster), *(peer for peer in peers() if peer.name in _BESIDE)]
    runs: dict[str, list[Figures]] = {server.name: [] for server in servers}
    for _ in range(_RUNS):
        for server in servers:
            runs[server.name].append(measured(server))
            print(server.name, runs[server.name][-1], flush=True)
    return {name: {key: median(run[key] for run in figures) for key in COLUMNS} for name, figures in runs.items()}


def measured(server: Ours | Peer) -> Figures:
    running = server.start(SERVER_CORES)
    client = Client(running, server.dialect)
    try:
        return {"memory": resting(client, running, server), **returning(client, running, server)}
    finally:
        client.end()
        running.stop()


def resting(client: Client, running: Running, server: Ours | Peer) -> float:
    """KiB of resident memory for each connection."""
    client.open(server.dialect.room(1))
    before = running.memory()
    for first in range(2, RESTING, _AT_ONCE):  # one `open` may take no more than half a minute
        client.open(*map(server.dialect.room, range(first, min(first + _AT_ONCE, RESTING))))
    time.sleep(1)
    grown = running.memory() - before
    client.close()
    time.sleep(2)
    return grown / 1024 / (RESTING - 2)


def returning(client: Client, running: Running, server: Ours | Peer) -> Figures:
    """Ours have a position, and are sent what they missed; the others have none, and are live when they are in."""
    targets, live = [server.dialect.room(user) for user in range(1, RETURNING + 1)], ""
    if isinstance(server, Ours):
        client.open(targets[0])
        client.measured(senders=1, message=server.dialect.room_message, rate=10, seconds=_MISSED / 10, answers=1)
        client.close()
        targets, live = [f"{target}&after=0" for target in targets], '"type":"caught_up"'
    where = {"host": HOST, "port": running.port, "opening": server.dialect.opening}
    client.do("bystand", target=server.dialect.echo, message=server.dialect.echo_message, **where)
    before = running.cpu()
    seen = client.do("storm", targets=targets, live=live, **where)
    cpu = running.cpu() - before
    client.close()
    return {"cpu": cpu, "seconds": seen["seconds"], "p99_ms": seen["p99_ms"]}
