"""File descriptors: as many as the connections need, and a line in the log when there are none left.

Nobody else says so: libuv accepts what waits and drops it at once, and a client sees its connection reset.
"""

import errno
import os
import resource
from contextlib import suppress
from time import monotonic

import structlog

_OTHERS = 256
"""Descriptors for everything but clients: the database, the broker, files, and HTTP next to the WebSockets."""
_REPEAT_SECONDS = 60.0

_logger = structlog.get_logger(__name__)


def make_room_for(connections: int) -> None:
    """Raise this process's limit as far as that takes, and say so if it may not be raised so far."""
    wanted = connections + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and soft != resource.RLIM_INFINITY:
        possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # some systems have a lower limit than they name
            resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
            soft = possible
        if soft < wanted:
            _logger.warning("few_file_descriptors", limit=soft, wanted=wanted, max_connections=connections)


class DescriptorWatch:
    """Notices that there are no descriptors left."""

    def __init__(self) -> None:
        self._silent_until = 0.0

    def look(self) -> None:
        """Say it, once a minute as long as it lasts. Costs a few microseconds."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE} and monotonic() > self._silent_until:
                self._silent_until = monotonic() + _REPEAT_SECONDS
                limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
                effect = "new connections are dropped"
                _logger.critical("file_descriptors_exhausted", why=error.strerror, limit=limit, effect=effect)
