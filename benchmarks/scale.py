"""How the service's own figures change with the number of connections and of processes."""

from dataclasses import dataclass

from tests.engine.kit.postgres import Cluster

from benchmarks.measure import CLIENT_CORES, SERVER_CORES, Client, answers, memory_of
from benchmarks.servers import Ours

CONNECTIONS = (100, 1000, 5000)
WORKERS = (1, 2)


@dataclass(frozen=True)
class Scale:
    """Figures of so many connections to so many processes."""

    connections: int
    workers: int
    delivery: float
    echo: float
    memory: float


def scale(cluster: Cluster, seconds: float) -> list[Scale]:
    """At every size 5,000 echoes and 10,000 deliveries a second; two processes share the client's core."""
    return [_measure(cluster, connections, workers, seconds) for workers in WORKERS for connections in CONNECTIONS]


def _measure(cluster: Cluster, connections: int, workers: int, seconds: float) -> Scale:
    ours = Ours(cluster, workers)
    server = ours.start(SERVER_CORES if workers == 1 else SERVER_CORES | CLIENT_CORES)
    client = Client(server, ours.dialect)
    try:
        memory = memory_of(client, server, ours.dialect, connections, hold=1.0)
        echo = answers(client, ours.dialect, "echo", seconds, connections)["echo"]
        client.open(*map(ours.dialect.room, range(1, connections + 1)))
        rate = 10_000 / connections
        options = {"senders": 1, "message": ours.dialect.room_message, "rate": rate, "answers": connections}
        client.measured(seconds=1.0, **options)
        cpu, seen = client.measured(seconds=seconds, **options)
        scaled = Scale(connections, workers, 1e6 * cpu / seen["received"], echo, memory)
        print(scaled, flush=True)
        return scaled
    finally:
        client.end()
        server.stop()
