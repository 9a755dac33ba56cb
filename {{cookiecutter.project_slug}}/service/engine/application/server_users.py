"""Who uses a server that several processes share: locks of the kernel's, which end with a process however it ends."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TURN, _USE = 0, 1
"""Bytes of the file: the one is for whoever starts or stops the server, the other is shared by all who use it."""
_PATIENCE_SECONDS = 60.0
_PAUSE = 0.05


class StuckError(Exception):
    """Somebody has been starting or stopping the server for long."""


class ServerUsers:
    """This process among the users of one server. As many as want to may be, and one at a time may change anything."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a+b")

    def close(self) -> None:
        """Be a user no longer, if this process was one."""
        self._file.close()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one to start or stop the server.

        Raises:
            StuckError: Somebody else has been at it for long.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._locked(fcntl.LOCK_EX, _TURN):
            if time.monotonic() > deadline:
                raise StuckError
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            self._lock(fcntl.LOCK_UN, _TURN)

    def use(self) -> None:
        """Be a user from here on. Only in one's turn."""
        self._lock(fcntl.LOCK_SH, _USE)

    def are_others(self) -> bool:
        """Whether there are users but this process. Only in one's turn; one that is a user is to say so again."""
        if self._locked(fcntl.LOCK_EX, _USE):
            self._lock(fcntl.LOCK_UN, _USE)
            return False
        return True

    def _locked(self, kind: int, byte: int) -> bool:
        try:
            self._lock(kind | fcntl.LOCK_NB, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _lock(self, kind: int, byte: int) -> None:
        fcntl.lockf(self._file, kind, 1, byte)
