"""A real PgBouncer in front of a cluster, with its defaults: sessions are shared, a transaction at a time."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tests.engine.kit.postgres import Database
from tests.engine.kit.programs import find_program
from tests.engine.kit.waiting import wait_until

PORT = 6432
CONFIGURATION = """
[databases]
* = host={cluster} user=postgres
[pgbouncer]
unix_socket_dir = {here}
listen_port = {port}
auth_type = trust
auth_file = {here}/users
logfile = {here}/log
pool_mode = transaction
"""


class PgBouncer:
    """One that is up while the block runs; it takes no root, so it runs as whom the cluster does."""

    def __init__(self, socket_directory: str) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        self._owner = Path(socket_directory).stat()
        values = {"cluster": socket_directory, "here": self._home, "port": PORT}
        (self._home / "ini").write_text(CONFIGURATION.format(**values))
        (self._home / "users").write_text('"postgres" ""\n')
        if os.geteuid() == 0:
            os.chown(self._home, self._owner.st_uid, self._owner.st_gid)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = find_program("pgbouncer")
        assert program is not None, "mark the test with needs('pgbouncer')"
        user = self._owner.st_uid if os.geteuid() == 0 else None
        command = [program, "--quiet", str(self._home / "ini")]
        self._process = subprocess.Popen(command, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until((self._home / f".s.PGSQL.{PORT}").exists, "PgBouncer listens")
        return self

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it answer nothing in the block, as it does while it waits for a server."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """End every connection through it, and take new ones."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        (self._home / f".s.PGSQL.{PORT}").unlink()
        self.__enter__()

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._home, ignore_errors=True)

    def leading_to(self, database: Database) -> Database:
        """The same database, reached through it."""
        url = f"postgresql://postgres@/{database.name}?host={quote(str(self._home))}&port={PORT}"
        return Database(url, database.name, database.application)

    def log(self) -> str:
        return (self._home / "log").read_text(errors="replace")
