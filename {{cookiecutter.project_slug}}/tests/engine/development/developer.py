"""Runs the service as a developer does: in a directory, with whatever is set in the shell."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from tests.engine.kit import warm
from tests.engine.kit.commands import plain_environment
from tests.engine.kit.http_client import http_request
from tests.engine.kit.running import free_port
from tests.engine.kit.waiting import wait_until

MODULE = "tests.engine.application"
COMMAND = [sys.executable, "-m", MODULE, "serve"]


class Run:
    """One `make run`, without make."""

    def __init__(self, directory: Path, *, cold: bool = False, **variables: str) -> None:
        """`cold`: by a Python of its own from its first moment to its last, for what happens there."""
        self.directory = directory
        wanted = variables.get("PORT", "")
        self.port = int(wanted) if wanted.isdecimal() else free_port()
        self.http = f"http://127.0.0.1:{self.port}"
        self._output = directory / f"output-{self.port}-{time.monotonic_ns()}"
        environment = plain_environment(**{"PORT": str(self.port), "DRAIN_SECONDS": "0"} | variables)
        self.process: warm.WarmProcess | subprocess.Popen[bytes]
        if cold:
            with self._output.open("wb") as output:
                self.process = subprocess.Popen(
                    COMMAND, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
        else:
            self._output.touch()
            self.process = warm.start(
                MODULE, "serve", environment=environment, directory=directory, output=self._output
            )

    @property
    def output(self) -> str:
        """All that its processes have written."""
        return self._output.read_text(errors="replace")

    @property
    def own_lines(self) -> list[str]:
        """What the command says itself."""
        return [line for line in self.output.splitlines() if line.startswith("python -m ")]

    def says(self, text: str, *, within: float = 30) -> None:
        """Wait until it has."""

        def said() -> bool:
            ended = self.process.poll()
            if text in self.output:
                return True
            assert ended is None, f"ended with {ended}:\n{self.output}"
            return False

        try:
            wait_until(said, repr(text), within=within)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.output}") from None

    def status(self, path: str) -> int:
        """The status of an answer, 0 for none."""
        try:
            return http_request("GET", self.http + path, timeout=5).status_code
        except httpx.TransportError:
            return 0

    def serves(self) -> "Run":
        """Wait until it does, database included."""
        self.says("Application startup complete.")
        wait_until(lambda: self.status("/readyz") == 200, "/readyz answers 200", within=20)
        return self

    def send(self, way: signal.Signals) -> None:
        os.kill(self.process.pid, way)

    def stop(self, way: signal.Signals = signal.SIGINT) -> None:
        """End it by a signal; it must end well."""
        self.send(way)
        assert self.ended() == 0, self.output
        assert "Traceback" not in self.output, self.output

    def ended(self, within: float = 20) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(within)

    def refusal(self) -> str:
        """Wait for its end, which is not a good one, and return the only line that it has written."""
        assert self.ended() != 0, self.output
        (line,) = self.output.splitlines()
        return line

    def workers(self) -> list[psutil.Process]:
        """The processes that serve."""
        return [child for child in psutil.Process(self.process.pid).children() if child.name() != "postgres"]

    def discard(self) -> None:
        """End whatever is left of it, whatever it takes."""
        if self.process.poll() is None:
            for process in [psutil.Process(self.process.pid), *self.workers()]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait(10)


def servers_in(directory: Path) -> Iterator[psutil.Process]:
    """The PostgreSQL servers that are at work below a directory; a child that has just begun looks like its server."""
    for process in psutil.process_iter():
        try:
            parent = process.parent()
            is_server = process.name() == "postgres" and (parent is None or parent.name() != "postgres")
            if is_server and directory in Path(process.cwd()).parents and "-D" in process.cmdline():
                yield process
        except (psutil.Error, OSError):  # it has just ended
            continue
