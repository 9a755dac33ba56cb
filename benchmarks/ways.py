"""What an event costs by each way of following a stream, what one more stream costs, what is declared but not used."""

import time
from collections.abc import Callable
from statistics import median

from tests.engine.kit.postgres import Cluster
from tests.engine.kit.tokens import token

from benchmarks.measure import FAN_OUT, SERVER_CORES, Client, fan_out, handshakes, memory_of
from benchmarks.servers import Ours, Running

SECONDS, RUNS = 1.5, 7
CONNECTIONS, STREAMS = 100, 100

WRITER = f"/ws/live-comments/1?token={token(FAN_OUT + 1)}"
ONE = {"senders": 1, "message": '{"type":"new_comment","body":"xx"}', "rate": 20}


def subscribe(post: int) -> str:
    return f'{{"type":"subscribe","stream":"comments/{post}"}}'


def many_streams(user: int) -> str:
    return f"/ws/streams?token={token(user)}"


def by_own_endpoint(client: Client) -> None:
    client.open(*(f"/ws/live-comments/1?token={token(user)}" for user in range(1, FAN_OUT + 1)))


def by_many_streams(client: Client) -> None:
    client.open(*map(many_streams, range(1, FAN_OUT + 1)), opening=subscribe(1))


def by_events(client: Client) -> None:
    targets = (f"/api/streams/comments/1/events?token={token(user)}" for user in range(1, FAN_OUT + 1))
    client.open(*targets, by="events")


WAYS = {
    "an endpoint of its own": by_own_endpoint, "`/ws/streams`": by_many_streams, "server-sent events": by_events,
}  # fmt: skip


def ways(cluster: Cluster) -> list[str]:
    return [each_way(Ours(cluster)), one_more_stream(Ours(cluster)), unused(cluster)]


def each_way(ours: Ours) -> str:
    server = ours.start(SERVER_CORES)
    try:
        runs = [{name: delivery(server, ours, follow) for name, follow in WAYS.items()} for _ in range(RUNS)]
    finally:
        server.stop()
    medians = {name: median(run[name] for run in runs) for name in WAYS}
    base, *_ = medians.values()
    listed = ", ".join(f"{name} {value:.1f} µs ({value / base:.2f} times)" for name, value in medians.items())
    return (
        f"An event to {FAN_OUT} who follow one stream, CPU of the server for each of them, publishing taken off: "
        f"{listed}; medians of {RUNS} interleaved runs."
    )


def delivery(server: Running, ours: Ours, follow: Callable[[Client], None]) -> float:
    """Microseconds of CPU for each who follows."""
    client = Client(server, ours.dialect)
    try:
        client.open(WRITER)
        client.measured(seconds=0.3, answers=1, **ONE)
        alone, seen_alone = client.measured(seconds=SECONDS, answers=1, **ONE)
        follow(client)
        client.measured(seconds=0.3, answers=1 + FAN_OUT, **ONE)
        cpu, seen = client.measured(seconds=SECONDS, answers=1 + FAN_OUT, **ONE)
        client.close()
        return 1e6 * (cpu / seen["messages"] - alone / seen_alone["messages"]) / FAN_OUT
    finally:
        client.end()


def one_more_stream(ours: Ours) -> str:
    """On a fresh process: memory that is free by what went before would hide it."""
    server = ours.start(SERVER_CORES)
    client = Client(server, ours.dialect)
    try:
        client.open(many_streams(CONNECTIONS + 1), opening=subscribe(1))
        own_topics = grown(server, lambda: subscribe_all(client, 1))
        client.open(*map(many_streams, range(1, CONNECTIONS + 1)), opening=subscribe(1))
        shared = grown(server, lambda: subscribe_all(client, 1 + CONNECTIONS)) / CONNECTIONS
    finally:
        client.end()
        server.stop()
    return (
        f"One more stream on a connection of `/ws/streams` takes {shared:.1f} KiB, and {own_topics:.1f} KiB where "
        f"nobody in the process follows it yet ({CONNECTIONS} connections with {STREAMS} streams each)."
    )


def subscribe_all(client: Client, connections: int) -> None:
    """To all streams but the first; who is in already is refused, and that is an answer too."""
    for post in range(2, STREAMS + 1):
        client.measured(senders=connections, message=subscribe(post), rate=100, seconds=0.01, answers=1)


def grown(server: Running, work: Callable[[], None]) -> float:
    """KiB for each of the streams that `work` subscribes to."""
    before = server.memory()
    work()
    time.sleep(1)
    return (server.memory() - before) / 1024 / (STREAMS - 1)


def unused(cluster: Cluster) -> str:
    """Signals and presence on a stream whose clients ask for neither, beside a stream without them."""
    both = {"with": Ours(cluster), "without": Ours(cluster, module="benchmarks.undeclared")}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in both}
    for run in range(RUNS):
        for name, ours in sorted(both.items(), reverse=run % 2 == 0):  # whichever is first is often the slower
            server = ours.start(SERVER_CORES)
            client = Client(server, ours.dialect)
            try:
                memory = memory_of(client, server, ours.dialect, 1000, 1.0)
                handshake = handshakes(client, server, ours.dialect)["handshake"]
                figures = fan_out(client, ours.dialect, SECONDS, FAN_OUT)
            finally:
                client.end()
                server.stop()
            runs[name].append({"memory": memory, "handshake": handshake, "delivery": figures["delivery"]})
    medians = {name: {key: median(run[key] for run in found) for key in found[0]} for name, found in runs.items()}
    units = {"delivery": "µs a delivery", "handshake": "µs a handshake", "memory": "KiB a connection"}
    listed = ", ".join(
        f"{medians['with'][key]:.1f} {unit} (without {medians['without'][key]:.1f})" for key, unit in units.items()
    )
    return f"Signals and presence declared and not used: {listed}; medians of {RUNS} interleaved runs."
