"""What is measured: our service and its peers, each started as its documentation says, in one process."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.engine.kit.postgres import Cluster, Database
from tests.engine.kit.running import HOST, Service, free_port
from tests.engine.kit.tokens import token

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
BUILD = HERE.parent / "build" / "benchmarks"
BIN = BUILD / "venv" / "bin"
NODE = BUILD / "node"

_PADDING = "x" * 93
PAYLOAD = json.dumps({"type": "comment", "body": _PADDING}, separators=(",", ":"))
"""120 bytes."""


@dataclass(frozen=True)
class Dialect:
    """How a client speaks to a server: where, and in what words."""

    echo: str = "/ws/echo"
    json: str = "/ws/json"
    room: Callable[[int], str] = lambda _user: "/ws/room"
    opening: str = ""
    echo_message: str = "x" * 120
    json_message: str = PAYLOAD
    room_message: str = PAYLOAD


class Running:
    """A server that runs, pinned to some cores."""

    def __init__(self, port: int, pid: int, stop: Callable[[], object], cores: set[int]) -> None:
        self.port = port
        self._pid = pid
        self.stop = stop
        for process in self._processes():
            for thread in process.threads():
                os.sched_setaffinity(thread.id, cores)

    def _processes(self) -> list[psutil.Process]:
        process = psutil.Process(self._pid)
        return [process, *process.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds of CPU that its processes have used, as the scheduler counts them: to the nanosecond."""
        return sum(
            int(Path(f"/proc/{process.pid}/task/{thread.id}/schedstat").read_text().split()[0]) / 1e9
            for process in self._processes()
            for thread in process.threads()
        )

    def memory(self) -> int:
        return sum(process.memory_info().rss for process in self._processes())


@dataclass(frozen=True)
class Ours:
    """`python -m service serve` on PostgreSQL, as in a container."""

    cluster: Cluster
    workers: int = 1
    module: str = "service"
    name: str = "this service"
    settings: Mapping[str, str] = field(default_factory=dict)
    database: Database | None = None
    """Where it stores; its own if there is none."""
    dialect: Dialect = field(
        default_factory=lambda: Dialect(
            room=lambda user: f"/ws/live-comments/1?token={token(user)}",
            room_message='{"type":"new_comment","body":"xx"}',
        )
    )

    def start(self, cores: set[int]) -> Running:
        settings = {"RATE_LIMIT": "0", "WEB_CONCURRENCY": str(self.workers), **self.settings}
        database = self.database or self.cluster.address.create_database()
        service = Service(database, settings, module=self.module)
        return Running(service.port, service.process.pid, service.discard, cores)


@dataclass(frozen=True)
class Peer:
    """Somebody else's server, from `peers/`."""

    name: str
    command: Sequence[str]
    dialect: Dialect = Dialect()

    def start(self, cores: set[int]) -> Running:
        port = free_port()
        command = [part.format(bin=BIN, port=port) for part in self.command]
        process = subprocess.Popen(
            command, cwd=NODE if command[0] == "node" else PEERS,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{self.name} does not start: {' '.join(command)}")
            with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
                break
            time.sleep(0.1)
        time.sleep(0.5)

        def stop() -> None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()

        return Running(port, process.pid, stop, cores)


SOCKETIO = "/socket.io/?EIO=4&transport=websocket"
BIND = ("--host", HOST, "--port", "{port}")
UVICORN = ("{bin}/python", "-m", "uvicorn", *BIND)
_SOCKETIO = Dialect(
    echo=SOCKETIO, json=SOCKETIO, room=lambda _user: SOCKETIO, opening="40",
    echo_message=f'42["echo","{"x" * 120}"]',
    json_message=f'42["json",{PAYLOAD}]', room_message=f'42["room",{PAYLOAD}]',
)  # fmt: skip

PEERS_OF_OURS = [
    Peer("FastAPI room, uvicorn", (*UVICORN, "fastapi_room:app")),
    Peer("raw ASGI, uvicorn", (*UVICORN, "asgi_room:app")),
    Peer("raw ASGI, gunicorn asgi", ("{bin}/gunicorn", "-k", "asgi", "-b", HOST + ":{port}", "asgi_room:app")),
    Peer("raw ASGI, granian", ("{bin}/granian", "--interface", "asgi", *BIND, "asgi_room:app")),
    Peer("websockets", ("{bin}/python", "websockets_room.py", "{port}")),
    Peer("picows", ("{bin}/python", "picows_room.py", "{port}")),
    Peer("python-socketio, uvicorn", (*UVICORN, "socketio_room:app"), _SOCKETIO),
    Peer("Django Channels, uvicorn", (*UVICORN, "channels_room:app")),
]  # fmt: skip
NODE_WS = Peer("ws, Node.js", ("node", "server.mjs", "{port}"))


def peers() -> list[Peer]:
    """Those that can run here: Node.js may be missing."""
    return [*PEERS_OF_OURS, *([NODE_WS] if shutil.which("node") and (NODE / "node_modules").is_dir() else [])]
