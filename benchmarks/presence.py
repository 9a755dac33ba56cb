"""Ten thousand users who are on one stream together: what that takes, and what one more of them costs."""

import time

import psycopg
from tests.engine.kit.postgres import Cluster
from tests.engine.kit.running import HOST, Service
from tests.engine.kit.tokens import token

from benchmarks.measure import SERVER_CORES, Client
from benchmarks.servers import Dialect, Running

PRESENT = 10_000
APPEAR = '{"type":"subscribe","stream":"comments/1","presence":true}'
_AT_REST = 20.0
_SIZE = "SELECT pg_total_relation_size('presence')"
_TRANSACTIONS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


def presence(cluster: Cluster) -> list[str]:
    service = Service(cluster.address.create_database(), {"RATE_LIMIT": "0", "MAX_CONNECTIONS": str(2 * PRESENT)})
    server = Running(service.port, service.process.pid, service.discard, SERVER_CORES)
    client = Client(server, Dialect())
    try:
        return [all_at_once(client, server), one_more(client), at_rest(service.database.url, server)]
    finally:
        client.end()
        server.stop()


def follow(user: int) -> str:
    return f"/ws/streams?token={token(user)}"


def all_at_once(client: Client, server: Running) -> str:
    client.open(follow(PRESENT + 1))
    where = {"host": HOST, "port": server.port}
    client.do("storm", targets=[*map(follow, range(1, PRESENT + 1))], opening="", live="", **where)
    memory, cpu = server.memory(), server.cpu()
    seen = client.do("ask", message=APPEAR, sign='"type":"presence"')
    kib = (server.memory() - memory) / 1024 / PRESENT
    return (
        f"{PRESENT:,} users of one process who subscribe with presence at once: all have the list after "
        f"{seen['seconds']:.1f} s, {server.cpu() - cpu:.1f} s of CPU and {seen['received']:,} messages; {kib:.1f} KiB "
        "for each subscription that is there."
    )


def one_more(client: Client) -> str:
    """Who has come first asks last: they are sent what they asked for, the others one message each."""
    cpu, _ = client.measured(senders=1, message=APPEAR, rate=1, seconds=1, answers=PRESENT + 2)
    return f"One more of them: one message to each of the {PRESENT:,}, {1e6 * cpu / PRESENT:.1f} µs of CPU each."


def at_rest(database: str, server: Running) -> str:
    with psycopg.connect(database, autocommit=True) as connection:

        def ask(query: str) -> int:
            row = connection.execute(query).fetchone()
            assert row is not None
            return int(row[0])

        before, cpu = ask(_TRANSACTIONS), server.cpu()
        time.sleep(_AT_REST)
        transactions = (ask(_TRANSACTIONS) - before) * 60 / _AT_REST
        cpu = (server.cpu() - cpu) / _AT_REST
        size = ask(_SIZE) / 1_048_576
    return (
        f"While they stay: {size:.1f} MiB in the table, {transactions:.0f} transactions a minute of the whole service, "
        f"and {100 * cpu:.1f} % of a core, heartbeats among it."
    )
