"""What is measured of one running server, and how."""

import json
import os
import subprocess
import time
from typing import Any

from tests.engine.kit.running import HOST

from benchmarks.servers import BIN, HERE, Dialect, Running

SERVER_CORES, CLIENT_CORES = {0}, {1}
FAN_OUT, ECHOES, HANDSHAKES, IDLE = 500, 50, 500, 1000
_BUSIEST = 0.9
"""From how busy a client is not to be trusted."""


class Client:
    """The process of client.py."""

    def __init__(self, server: Running, dialect: Dialect) -> None:
        self._server = server
        self._dialect = dialect
        self._process = subprocess.Popen(
            [BIN / "python", HERE / "client.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        os.sched_setaffinity(self._process.pid, CLIENT_CORES)

    def do(self, what: str, **options: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what} | options) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the client failed at {what}")
        result: dict[str, Any] = json.loads(answer)
        return result

    def open(self, *targets: str, opening: str | None = None, by: str = "socket") -> None:
        """Connect, by a socket or as a reader of server-sent `events`, and say what opens a conversation."""
        words = self._dialect.opening if opening is None else opening
        self.do("open", host=HOST, port=self._server.port, targets=targets, opening=words, by=by)
        time.sleep(0.3)

    def close(self) -> None:
        self.do("close")
        time.sleep(0.5)

    def measured(self, **options: Any) -> tuple[float, dict[str, Any]]:
        """CPU seconds of the server while the client sends, and what the client saw."""
        before = self._server.cpu()
        seen = self.do("send", **options)
        cpu = self._server.cpu() - before
        if seen["received"] != seen["expected"] or seen["lost"]:
            raise RuntimeError(f"not what was expected: {seen}")
        return cpu, seen

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


Figures = dict[str, float]


def measure(server: Running, dialect: Dialect, seconds: float, hold: float) -> Figures:
    """Every figure of one server, from a client process of its own."""
    client = Client(server, dialect)
    try:
        return {
            "memory": memory_of(client, server, dialect, IDLE, hold),  # first: later ones live in what others left
            **handshakes(client, server, dialect),
            **answers(client, dialect, "echo", seconds),
            **answers(client, dialect, "json", seconds),
            **fan_out(client, dialect, seconds, FAN_OUT),
        }
    finally:
        client.end()


def handshakes(client: Client, server: Running, dialect: Dialect) -> Figures:
    client.open(*map(dialect.room, range(1, 101)))
    before = server.cpu()
    client.open(*map(dialect.room, range(101, 101 + HANDSHAKES)))
    cpu = server.cpu() - before
    client.close()
    return {"handshake": 1e6 * cpu / HANDSHAKES}


def answers(client: Client, dialect: Dialect, name: str, seconds: float, connections: int = ECHOES) -> Figures:
    """5,000 messages a second to the endpoint `echo` or `json`, of connections that all send at once."""
    target, message = getattr(dialect, name), getattr(dialect, f"{name}_message")
    client.open(*[target] * connections)
    options = {"senders": connections, "message": message, "rate": 5000 / connections, "answers": 1}
    client.measured(seconds=0.3, **options)
    cpu, seen = client.measured(seconds=seconds, **options)
    client.close()
    return {name: 1e6 * cpu / seen["messages"], f"{name}_p99": seen["p99_ms"], f"{name}_busy": seen["busy"]}


def fan_out(client: Client, dialect: Dialect, seconds: float, subscribers: int) -> Figures:
    """Deliveries one by one and in bursts; the cost of publishing, measured with nobody else there, is taken off."""
    single = {"senders": 1, "message": dialect.room_message, "rate": 20}
    burst = {"senders": 10, "message": dialect.room_message, "rate": 2}
    client.open(*map(dialect.room, range(1, 11)))
    client.measured(seconds=0.3, answers=10, **single)
    alone, seen_alone = client.measured(seconds=seconds / 2, answers=10, **single)
    bursts_alone, seen_bursts_alone = client.measured(seconds=seconds / 2, answers=10, **burst)
    client.open(*map(dialect.room, range(11, 1 + subscribers)))
    client.measured(seconds=0.3, answers=subscribers, **single)
    cpu, seen = client.measured(seconds=seconds, answers=subscribers, **single)
    bursts, seen_bursts = client.measured(seconds=seconds, answers=subscribers, **burst)
    client.close()
    more = subscribers - 10
    publishing = alone / seen_alone["messages"]
    return {
        "delivery": 1e6 * (cpu / seen["messages"] - publishing) / more,
        "burst": 1e6 * (bursts / seen_bursts["messages"] - bursts_alone / seen_bursts_alone["messages"]) / more,
        "publish": 1e6 * publishing,
        "delivery_p50": seen["p50_ms"],
        "delivery_p99": seen["p99_ms"],
        "delivery_busy": seen["busy"],
    }


def memory_of(client: Client, server: Running, dialect: Dialect, connections: int, hold: float) -> float:
    """KiB that an idle connection takes, after `hold` seconds."""
    client.open(dialect.room(1))
    before = server.memory()
    client.open(*map(dialect.room, range(2, 2 + connections)))
    time.sleep(hold)
    grown = server.memory() - before
    client.close()
    return grown / 1024 / connections


def trusted(figures: Figures) -> bool:
    return all(value < _BUSIEST for name, value in figures.items() if name.endswith("_busy"))
