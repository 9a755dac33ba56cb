"""A standby of a cluster, which can take over when that is gone."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine.kit.postgres import PG_CTL, Cluster

PROGRAMS = Path(str(PG_CTL)).parent


class Standby:
    """Another server, with all that the first has, in a directory next to it."""

    def __init__(self, primary: Cluster) -> None:
        self.directory = primary.home / "standby"
        self._owner = (primary.home / "data").stat()
        self.directory.mkdir(mode=0o700)
        os.chown(self.directory, self._owner.st_uid, self._owner.st_gid)
        source = ["--host", primary.address.socket_directory, "--username", "postgres"]
        self._run("pg_basebackup", *source, "--write-recovery-conf", "--no-sync", "--checkpoint", "fast")
        (self.directory / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        self._run("pg_ctl", "--wait", "--log", "log", "--options", f"-k {self.directory} -h ''", "start")

    def promote(self) -> None:
        """Take over."""
        self._run("pg_ctl", "--wait", "promote")

    def stop(self) -> None:
        self._run("pg_ctl", "--wait", "--mode", "immediate", "stop")
        shutil.rmtree(self.directory)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [PROGRAMS / program, "--pgdata", self.directory, *arguments],
            user=self._owner.st_uid,
            cwd=self.directory,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def standby_of(primary: Cluster) -> Iterator[Standby]:
    standby = Standby(primary)
    try:
        yield standby
    finally:
        standby.stop()
