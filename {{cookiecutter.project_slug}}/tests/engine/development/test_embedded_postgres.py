"""The embedded database starts in ordinary places, is left behind by nobody, and touches no other program."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import psycopg
import pytest

from service.engine.application.local_postgres import LocalPostgres
from tests.engine.development.conftest import StartRun
from tests.engine.development.developer import servers_in
from tests.engine.kit.postgres import Address
from tests.engine.kit.waiting import wait_until

NAMES = ["a b%c'd,e", '$HOME "é"', "deep/" + "x" * 120]


@pytest.fixture
def bystander(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program that has nothing to do with all this."""
    code = "import sys; print('here', flush=True); sys.stdin.read()"
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert program.stdout
    assert program.stdout.readline() == b"here\n"
    yield program
    program.kill()
    program.communicate()


def place_in(home: Path) -> Path:
    """Where a project in this directory keeps its database."""
    place = home / ".local" / "postgres"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


@contextmanager
def server_in(home: Path) -> Iterator[psycopg.Connection[Any]]:
    """The server alone, without a service, and a connection to it."""
    with (
        mock.patch.dict(os.environ),
        LocalPostgres(place_in(home)).running(lambda _: None) as url,
        psycopg.connect(url) as connection,
    ):
        yield connection


@pytest.mark.parametrize("name", NAMES, ids=["signs", "quotes", "long"])
def test_it_starts_in_a_directory_of_any_name(home: Path, name: str) -> None:
    for _ in range(2):
        with server_in(home / name) as connection:
            connection.execute("select 1")
    assert list(servers_in(home)) == []


def test_a_service_starts_where_an_earlier_start_was_interrupted(run: StartRun, home: Path) -> None:
    directory = home / NAMES[0]
    (directory / ".local" / "postgres.new").mkdir(parents=True)
    (directory / ".local" / "postgres.new" / "PG_VERSION").write_text("18")
    run(directory).serves().stop(signal.SIGTERM)
    assert list(servers_in(home)) == []


def test_the_locale_of_a_shell_and_its_variables_for_other_servers_make_no_difference(
    run: StartRun, home: Path
) -> None:
    shell = {
        "LC_ALL": "xx_YY.UTF-8",
        "LANG": "C",
        "TZ": "Nowhere/Atall",
        "PGPORT": "5433",
        "PGDATA": "/nonexistent",
        "PGHOST": "db.example.com",
        "PGHOSTADDR": "192.0.2.1",
        "PGSERVICE": "nowhere",
        "PGOPTIONS": "-c search_path=nowhere",
        "PGREQUIREPEER": "nobody",
        "PGSSLMODE": "verify-full",
        "PGCHANNELBINDING": "require",
        "PGCLIENTENCODING": "LATIN1",
    }
    run(**shell).serves().stop()
    assert list(servers_in(home)) == []


def test_a_program_that_has_the_number_of_an_old_server_is_left_alone(
    run: StartRun, home: Path, postgres: Address, bystander: subprocess.Popen[bytes]
) -> None:
    with server_in(home):
        pass
    file = place_in(home) / "postmaster.pid"
    another_server = int((Path(postgres.socket_directory) / "postmaster.pid").read_text().split()[0])
    for number in (str(another_server), str(os.getppid()), str(os.getpid()), "", "not a number", str(bystander.pid)):
        file.write_text(f"{number}\n{place_in(home)}\n1\n5432\n.\n\n1 2\nready   \n")
        with server_in(home):
            (server,) = servers_in(home)
            assert int(file.read_text().split()[0]) == server.pid
    file.write_text(f"{bystander.pid}\n{place_in(home)}\n1\n5432\n.\n\n1 2\nready   \n")
    run().serves().stop()
    assert bystander.poll() is None
    assert postgres.database("postgres").value("select 1") == 1


def test_one_that_was_left_behind_is_found_and_stopped(run: StartRun, home: Path) -> None:
    killed = run().serves()
    workers = killed.workers()
    (server,) = servers_in(home)
    killed.send(signal.SIGKILL)
    killed.process.wait(10)
    psutil.wait_procs(workers, timeout=20)
    assert server.is_running()
    run().serves().stop()
    assert list(servers_in(home)) == []
    assert not server.is_running()


def test_one_that_was_killed_itself_is_started_again(run: StartRun, home: Path) -> None:
    first = run().serves()
    (server,) = servers_in(home)
    server.kill()
    wait_until(lambda: first.status("/readyz") == 503, "/readyz says that the database is gone")
    first.stop()
    run().serves().stop()


def test_two_at_once_say_so_and_share_it(run: StartRun, home: Path) -> None:
    first, second = run(), run()
    first.serves()
    second.serves()
    said = [each for each in (first, second) if each.own_lines]
    assert len(said) == 1
    (line,) = said[0].own_lines
    assert "another `make run` of this project is running" in line
    (server,) = servers_in(home)
    first.stop()
    assert server.is_running()
    assert second.status("/readyz") == 200
    second.stop()
    assert not server.is_running()


def test_a_stop_while_it_is_made_leaves_nothing_running(run: StartRun, home: Path) -> None:
    early = run()
    wait_until((home / ".local" / "postgres.log").exists, "initdb has begun")
    early.stop(signal.SIGTERM)
    assert early.output == ""
    assert list(servers_in(home)) == []
    run().serves().stop()


@pytest.mark.parametrize("place", [".local", ".local/postgres", ".local/secret_key"])
@pytest.mark.parametrize("content", ["file", "directory"])
def test_what_cannot_be_used_is_named_in_one_line(run: StartRun, home: Path, place: str, content: str) -> None:
    path = home / place
    path.parent.mkdir(exist_ok=True)
    if content == "directory":
        path.mkdir()
        (path / "something").mkdir()
    else:
        path.write_bytes(b"\xff")
    if (place, content) == (".local", "directory"):
        run().serves().stop()
        return
    line = run().refusal()
    assert place in line
    assert line.startswith("python -m tests.engine.application: error: ")


def test_what_is_stored_is_there_the_next_time(run: StartRun, home: Path) -> None:
    with server_in(home) as connection:
        connection.execute("create table kept ()")
        connection.commit()
    run().serves().stop()
    with server_in(home) as connection:
        connection.execute("select from kept, streams")
