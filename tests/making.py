"""What a user does with make: runs a target to its end, or one that serves until it is interrupted."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 800
_ports = random.SystemRandom()
_kept: list[socket.socket] = []


def bare_environment(**settings: str) -> dict[str, str]:
    """This environment without what `make test` and a developer's settings add to it."""
    ours = re.compile(r"MAKE|MFLAGS|PYTEST|PYTHON|VIRTUAL_ENV|ALL$|(DATABASE_URL|SECRET_KEY|ENVIRONMENT)$")
    return {name: value for name, value in os.environ.items() if not ours.match(name)} | settings


def make(directory: Path, *arguments: str) -> str:
    command = ["make", "--directory", str(directory), *arguments]
    result = subprocess.run(
        command,
        env=bare_environment(ALL=os.environ.get("ALL", "")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def free_port() -> int:
    """A port below those of outgoing connections, and kept from other tests until these end: see the project's own."""
    while True:
        port, probe = _ports.randrange(10_000, 32_000), socket.socket()
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.close()
            continue
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            _kept.append(probe)
        else:  # no other socket could have it
            probe.close()
        return port


@contextmanager
def running(directory: Path, target: str, log: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a make target that serves until it is interrupted, as Ctrl-C in a terminal does."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", "--directory", str(directory), target],
            env=bare_environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(timeout=40)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def wait_for(pattern: str, log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        text = log.read_text()
        if found := re.search(pattern, text):
            return found[0]
        assert process.poll() is None, text
        time.sleep(0.1)
    pytest.fail(f"no {pattern} within {PATIENCE} s:\n{log.read_text()}")


def record_missing(output: str, record_property: Callable[[str, object], None]) -> None:
    """Pass on what the project's own tests could not do here."""
    for missing in re.findall(r"^\d+ tests: (.+ is missing: .+)$", output, re.MULTILINE):
        record_property("not tested in the project", f"of the project's own: {missing}")
