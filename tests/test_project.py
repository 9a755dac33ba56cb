"""What a user does with the template: two commands from a clone to a running, tested service."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.bakery import bake, copy_template
from tests.pythons import BETWEEN, NEWEST, OLDEST, interpreter

PATIENCE = 300

pytestmark = [pytest.mark.needs("git"), pytest.mark.needs("make"), pytest.mark.timeout(1500)]


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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
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


@pytest.mark.parametrize("version", ["3", *BETWEEN])
def test_make_demo_leads_from_a_clone_to_the_first_pong(place: Path, version: str) -> None:
    settings = {"PYTHON": interpreter(version)} if version in BETWEEN else {}
    clone = copy_template(place / "clone")
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    port, log = free_port(), place / "demo.log"
    settings |= {"HOST": "127.0.0.1", "PORT": str(port), "PYTHONWARNINGS": "default"}
    with running(clone, "demo", log, **settings) as demo:
        token = wait_for(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", log, demo)
        wait_for(rf"Page +http://[\w.]+:{port}/", log, demo)
        wait_for("Listening at", log, demo)
        with connect(f"ws://127.0.0.1:{port}/ws/ping?token={token}", open_timeout=30) as client:
            client.send(json.dumps({"type": "ping"}))
            assert json.loads(client.recv(timeout=10)) == {"type": "pong"}
    complaints = re.findall(r"^.*(?:Traceback|Warning:).*$", log.read_text(), re.MULTILINE)
    assert [line for line in complaints if "/site-packages/pip/" not in line] == [], log.read_text()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_fresh_project_passes_its_own_checks_on_the_oldest_python(
    template: Path, place: Path, record_property: Callable[[str, object], None]
) -> None:
    project = bake(template, place)
    python, port, log = interpreter(OLDEST), free_port(), place / "run.log"
    with running(project, "run", log, PORT=str(port), PYTHON=python) as served:
        wait_for("Listening at", log, served)
        make(project, "setup", f"PYTHON={python}")  # adds what tests need to what runs
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=30) as page:
            assert page.status == 200
    make(project, "lint")
    record_missing(make(project, "test") + make(project, "test-engine"), record_property)


def test_a_project_without_the_example_is_green_at_once_on_the_newest_python_and_shows_its_endpoints(
    template: Path, place: Path, record_property: Callable[[str, object], None]
) -> None:
    project = bake(template, place, example="none")
    make(project, "setup", f"PYTHON={interpreter(NEWEST)}")
    make(project, "lint")
    record_missing(make(project, "test") + make(project, "test-engine"), record_property)
    port, log = free_port(), place / "run.log"
    with running(project, "run", log, PORT=str(port)) as served:
        wait_for(rf"Page +http://[\w.]+:{port}/", log, served)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert b"endpoints.js" in page.read()
        make(project, "loadtest", "SCENARIO=idle", "USERS=20", "TIME=5s", f"URL=http://127.0.0.1:{port}")
    full = bake(template, place / "full")
    record_missing(make(full, "--assume-old=setup", "test", f"bin={project}/.venv/bin"), record_property)


def record_missing(output: str, record_property: Callable[[str, object], None]) -> None:
    """Pass on what the project's own tests could not do here."""
    for missing in re.findall(r"^\d+ tests: (.+ is missing: .+)$", output, re.MULTILINE):
        record_property("not tested in the project", f"of the project's own: {missing}")
