"""The socket that everything comes in by: bound before anything else is done, or refused in a line that says why."""

import errno
import socket
from typing import Any

from service.engine.foundation.settings import Settings, SettingsError

_BACKLOG = 2048


class Listener(socket.socket):
    """A listening socket whose text is the address to reach it at, for the log."""

    @property
    def port(self) -> int:
        """The real one, where any would do."""
        number: int = self.getsockname()[1]
        return number

    def __str__(self) -> str:
        host = self.getsockname()[0]
        return f"http://[{host}]:{self.port}" if self.family is socket.AF_INET6 else f"http://{host}:{self.port}"


def listen(settings: Settings) -> Listener:
    """Take `HOST` and `PORT`. Who connects from here on waits until a process accepts.

    Raises:
        SettingsError: They are not to be had.
    """
    family, address = _resolved(settings)
    listener = Listener(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _let_the_kernel_give_up(listener, settings.longest_silence)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(_why_not(settings, error)) from None
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener


def _let_the_kernel_give_up(listener: Listener, seconds: float) -> None:
    """On clients that acknowledge nothing for so long. Whatever a listener accepts has its options (tcp(7))."""
    if seconds and hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def _resolved(settings: Settings) -> tuple[socket.AddressFamily, Any]:
    host, port = settings.host.removeprefix("[").removesuffix("]"), settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise SettingsError(f"HOST={settings.host[:128]} is no name or address of this machine") from None
    family, _, _, _, address = min(found, key=lambda entry: entry[0] is not socket.AF_INET)  # localhost has two
    return family, address


def _why_not(settings: Settings, error: OSError) -> str:
    host, port = settings.host[:128], settings.port
    match error.errno:
        case errno.EADDRINUSE:
            another = port + 1 if port < 65_535 else port - 1
            return (
                f"PORT={port} is taken by another program: stop that one, or choose another port, as in PORT={another}"
            )
        case errno.EACCES | errno.EPERM:
            return f"PORT={port} is not for everybody (those below 1024 are the administrator's): as in PORT=8000"
        case errno.EADDRNOTAVAIL:
            return f"HOST={host} is not an address of this machine"
        case _:
            return f"HOST={host} PORT={port} cannot be listened at: {error.strerror}"
