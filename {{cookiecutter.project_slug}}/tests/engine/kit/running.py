"""Starts a service as a container does (`python -m service serve`), and stops it by SIGTERM."""

import json
import os
import random
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.engine.kit import schemas, warm
from tests.engine.kit.commands import SECRET_KEY, plain_environment
from tests.engine.kit.http_client import http_request
from tests.engine.kit.postgres import Database
from tests.engine.kit.waiting import wait_until

HOST = "127.0.0.1"
DEFAULTS = {
    "ENVIRONMENT": "production",
    "DEMO_ENDPOINTS": "true",
    "HOST": HOST,
    "RATE_LIMIT": "0",
    "DRAIN_SECONDS": "0",
    "SECRET_KEY": SECRET_KEY,
}
_ports = random.SystemRandom()
_kept: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody else is given: below those of outgoing connections, and kept until the tests end.

    A server can listen there all the same, if it sets `SO_REUSEADDR` as servers do; another test's probe does not.
    """
    while True:
        port, probe = _ports.randrange(10_000, 32_000), socket.socket()
        try:
            probe.bind((HOST, port))
        except OSError:
            probe.close()
            continue
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            _kept.append(probe)
        else:  # no other socket could have it
            probe.close()
        return port


class Service:
    """One running service: a gunicorn and its workers. A `VALKEY_URL` of the test run is its too."""

    def __init__(
        self,
        database: Database,
        settings: Mapping[str, str] | None = None,
        *,
        module: str | None = None,
        ready: bool = True,
    ) -> None:
        """`module` is started instead of the application that the database is of."""
        self.database = database
        everywhere = {"VALKEY_URL": os.environ["VALKEY_URL"]} if "VALKEY_URL" in os.environ else {}
        own = {"DATABASE_URL": database.url, "PORT": str(free_port())}
        self.settings = DEFAULTS | everywhere | own | dict(settings or {})
        """What it was started with, to start another like it on the same port."""
        self.port = int(self.settings["PORT"])
        self.http = f"http://{HOST}:{self.port}"
        self.ws = f"ws://{HOST}:{self.port}"
        self._asked_to_stop = False
        self.directory = Path(tempfile.mkdtemp(prefix="service-"))
        self.output = self.directory / "output"
        self.process = warm.start(
            module or database.application,
            "serve",
            environment=plain_environment(**self.settings),
            directory=self.directory,
            output=self.output,
        )
        try:
            self._wait_for("/readyz" if ready else "/healthz")
            self.asyncapi: dict[str, Any] = self.get("/asyncapi.json").json()
            """What it says of its WebSocket endpoints; clients hold what they are sent against it."""
            schemas.learn(self.ws, self.asyncapi)
        except BaseException:
            self.discard()
            raise

    def _wait_for(self, path: str) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log()}"
            try:
                return self.get(path).status_code == 200
            except httpx.TransportError:
                return False

        try:
            wait_until(answers, f"{path} answers 200", within=20)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.log()}") from None

    def get(self, path: str, **options: Any) -> httpx.Response:
        """A blocking GET; inside a test's event loop use the fixture `http`."""
        return http_request("GET", self.http + path, timeout=5, **options)

    def log(self) -> str:
        """Everything the processes of this service have written."""
        return self.output.read_text(errors="replace")

    def log_lines(self) -> list[dict[str, Any]]:
        """The log as JSON objects; a line that is none fails the test."""
        return [json.loads(line) for line in self.log().splitlines() if line]

    def workers(self) -> list[psutil.Process]:
        """The processes below the one that was started."""
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def open_sockets(self) -> int:
        """Established connections of clients, as the kernel counts them in the serving processes."""
        return sum(self._sockets_of(worker) for worker in self.workers())

    def serving(self) -> list[psutil.Process]:
        """The workers that clients are connected to."""
        return [worker for worker in self.workers() if self._sockets_of(worker)]

    def _sockets_of(self, process: psutil.Process) -> int:
        return sum(
            connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == self.port
            for connection in process.net_connections("tcp")
        )

    def terminate(self) -> None:
        """Ask it to stop, once."""
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self.process.terminate()

    def wait(self, within: float = 15) -> int:
        """The exit code, once the process has ended."""
        return self.process.wait(within)

    def stop(self) -> None:
        """Stop by SIGTERM; the exit must be clean and in time."""
        try:
            self.terminate()
            code = self.wait()
            assert code == 0, f"ended with {code}:\n{self.log()}"
            assert "Traceback" not in self.log(), self.log()
        finally:
            self.discard()

    def discard(self) -> None:
        """End whatever is left of it, and its directory."""
        if self.process.poll() is None:
            processes = [psutil.Process(self.process.pid), *self.workers()]  # alone it would start others
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait(5)
        shutil.rmtree(self.directory, ignore_errors=True)
