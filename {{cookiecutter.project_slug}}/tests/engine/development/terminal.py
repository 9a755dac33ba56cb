"""A terminal that something runs in: what is typed there, and what happens when it is closed."""

import os
import select
import subprocess
import sys
import time
from pathlib import Path

from tests.engine.development.developer import COMMAND
from tests.engine.kit.commands import plain_environment

_BEGIN = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
for each in signal.SIGINT, signal.SIGQUIT:  # which a shell lets its background jobs, such as these tests, ignore
    signal.signal(each, signal.SIG_DFL)
if "--nohup" in sys.argv:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:sys.argv.index("--")])
"""
CONTROL_C = b"\x03"


class Terminal:
    """A terminal with the service in its foreground."""

    def __init__(self, directory: Path, *options: str, **variables: str) -> None:
        self._ours, theirs = os.openpty()
        self._read = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, *COMMAND, "--", *options],
            cwd=directory,
            env=plain_environment(DRAIN_SECONDS="0", **variables),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    @property
    def text(self) -> str:
        """All that has been seen in it."""
        return self._read.decode(errors="replace")

    def shows(self, text: str, within: float = 30) -> None:
        """Read until it does."""
        deadline = time.monotonic() + within
        while text not in self.text:
            assert self._reads(deadline), f"ended, or late, without {text!r}:\n{self.text}"

    def ends(self, within: float = 30) -> int:
        """Read until nothing comes any more; returns the exit status."""
        deadline = time.monotonic() + within
        while self._reads(deadline):
            pass
        return self.process.wait(within)

    def _reads(self, deadline: float) -> bool:
        if not select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            part = os.read(self._ours, 65_536)
        except OSError:  # EIO: nobody has the other end any more
            return False
        self._read += part
        return bool(part)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> None:
        """Close its window."""
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1
