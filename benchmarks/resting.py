"""As many connections at rest as a machine's descriptors let one try: several processes of one service, each full."""

import resource
import time

from tests.engine.kit.postgres import Cluster

from benchmarks.measure import CLIENT_CORES, SERVER_CORES, Client
from benchmarks.servers import Ours, Running

PROCESSES, CONNECTIONS = 3, 50_000
_AT_ONCE = 1_000
_HOLD_SECONDS = 60.0
"""Past two heartbeats."""


def resting(cluster: Cluster) -> list[str]:
    """What each connection takes: authenticated, subscribed, heart-beating."""
    ours = Ours(cluster, settings={"MAX_CONNECTIONS": "18000"}, database=cluster.address.create_database())
    servers: list[Running] = []
    clients: list[Client] = []
    try:
        for _ in range(PROCESSES):
            servers.append(ours.start(SERVER_CORES | CLIENT_CORES))
            clients.append(Client(servers[-1], ours.dialect))
            clients[-1].open(ours.dialect.room(1))
        before = _memory(servers)
        users = range(2, CONNECTIONS // PROCESSES + 2)
        for server, client in zip(servers, clients, strict=True):
            for first in range(0, len(users), _AT_ONCE):  # one `open` may take no more than half a minute
                client.open(*map(ours.dialect.room, users[first : first + _AT_ONCE]))
            print(f"port {server.port}: {len(users):,} connections", flush=True)
        cpu = _cpu(servers)
        time.sleep(_HOLD_SECONDS)
        busy = (_cpu(servers) - cpu) / _HOLD_SECONDS
        rested = PROCESSES * len(users)
        each = (_memory(servers) - before) / 1024 / rested
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        line = (
            f"{rested:,} connections at rest, over {PROCESSES} processes (one has {most:,} descriptors here): "
            f"{each:.1f} KiB each, and {100 * busy:.0f} % of a core for the heartbeats of all."
        )
        return [line]
    finally:
        for client in clients:
            client.end()
        for server in servers:
            server.stop()


def _memory(servers: list[Running]) -> int:
    return sum(server.memory() for server in servers)


def _cpu(servers: list[Running]) -> float:
    return sum(server.cpu() for server in servers)
