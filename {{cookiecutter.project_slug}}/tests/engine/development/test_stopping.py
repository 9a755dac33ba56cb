"""A stop ends well, whoever asks for it, when, and however often."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.engine.development.conftest import StartRun
from tests.engine.development.developer import Run, servers_in
from tests.engine.development.terminal import CONTROL_C, Terminal
from tests.engine.kit.commands import SECRET_KEY
from tests.engine.kit.http_client import http_request
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.running import HOST, free_port
from tests.engine.kit.waiting import wait_until

ANY = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT


@pytest.fixture(scope="module")
def shared(postgres: Address) -> Database:
    """A database for all of them."""
    return postgres.create_database()


@pytest.fixture
def terminal(home: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*options: str, **variables: str) -> Terminal:
        opened.append(Terminal(home, *options, **variables))
        return opened[-1]

    yield start
    for each in opened:
        each.close()
        if each.process.poll() is None:
            leader = psutil.Process(each.process.pid)
            for process in [*leader.children(recursive=True), leader]:
                process.kill()
            each.process.wait(10)


def ask_until_it_is_gone(run: Run, *ways: signal.Signals) -> int:
    """Send a signal again and again, whatever the process does."""
    while run.process.poll() is None:
        for way in ways:
            run.send(way)
        time.sleep(0.0005)
    return run.ended()


def is_listening(run: Run) -> bool:
    with suppress(OSError), socket.create_connection((HOST, run.port), timeout=5):
        return True
    return False


@pytest.mark.parametrize("ways", [(signal.SIGTERM,), ANY], ids=["again", "in every way"])
def test_more_of_them_in_the_last_moments_change_nothing(
    run: StartRun, shared: Database, ways: tuple[signal.Signals, ...]
) -> None:
    service = run(cold=True, ENVIRONMENT="production", SECRET_KEY=SECRET_KEY, DATABASE_URL=shared.url)
    service.serves()
    service.send(signal.SIGTERM)
    assert ask_until_it_is_gone(service, *ways) == 0
    assert "Traceback" not in service.output
    assert "Shutting down: Master" in service.output


def test_before_it_serves_they_end_it_too(run: StartRun) -> None:
    with socket.create_server((HOST, 0)) as silent:  # a database that never answers
        service = run(cold=True, DATABASE_URL=f"postgresql://{HOST}:{silent.getsockname()[1]}/x")
        wait_until(lambda: is_listening(service), "it has begun", within=30)
        assert ask_until_it_is_gone(service, signal.SIGTERM) == 0
    assert service.output == ""


def test_while_its_processes_start_they_are_not_lost(run: StartRun, shared: Database) -> None:
    service = run(
        ENVIRONMENT="production",
        SECRET_KEY=SECRET_KEY,
        DATABASE_URL=shared.url,
        WEB_CONCURRENCY="4",
        DRAIN_SECONDS="20",
    )
    service.says("Booting worker")
    service.send(signal.SIGTERM)
    assert service.ended(within=20) == 0, "a process that knows of no stop is waited for till DRAIN_SECONDS are over"
    assert "SIGKILL" not in service.output


def test_control_c_ends_it_without_a_word_of_complaint(
    terminal: Callable[..., Terminal], home: Path, shared: Database
) -> None:
    window = terminal(PORT=str(free_port()))
    window.shows("Application startup complete.")
    (server,) = servers_in(home)
    window.type(CONTROL_C)
    assert window.ends() == 0, window.text
    assert not server.is_running()
    for complaint in ("Traceback", "Errno", "Bad file descriptor", "was sent SIG"):
        assert complaint not in window.text


def test_control_c_before_it_serves_does_too(terminal: Callable[..., Terminal], home: Path) -> None:
    window = terminal(PORT=str(free_port()))
    wait_until((home / ".local").exists, "it has begun", within=30)
    for _ in range(3):
        window.type(CONTROL_C)
    assert window.ends() == 0, window.text
    assert "Traceback" not in window.text
    assert list(servers_in(home)) == []


def test_closing_the_terminal_ends_it(terminal: Callable[..., Terminal], home: Path) -> None:
    window = terminal(PORT=str(free_port()))
    window.shows("Application startup complete.")
    processes = psutil.Process(window.process.pid).children(recursive=True)
    assert processes
    window.close()
    assert window.process.wait(20) == 0
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []
    assert list(servers_in(home)) == []


def test_the_same_signal_from_elsewhere_asks_for_new_processes(run: StartRun, shared: Database) -> None:
    service = run(DATABASE_URL=shared.url).serves()
    (old,) = service.workers()
    service.send(signal.SIGHUP)
    wait_until(lambda: [each.pid for each in service.workers()] not in ([old.pid], []), "there is another")
    psutil.wait_procs([old], timeout=20)
    wait_until(lambda: service.status("/readyz") == 200, "it is ready")
    service.stop()


def test_nohup_keeps_it_when_the_terminal_closes(
    terminal: Callable[..., Terminal], home: Path, shared: Database
) -> None:
    port = free_port()
    window = terminal("--nohup", PORT=str(port), DATABASE_URL=shared.url)
    window.shows("Application startup complete.")
    window.close()
    window.process.send_signal(signal.SIGHUP)
    for _ in range(20):
        assert http_request("GET", f"http://127.0.0.1:{port}/healthz").status_code == 200
    window.process.send_signal(signal.SIGTERM)
    assert window.process.wait(20) == 0
