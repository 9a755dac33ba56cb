"""What carries a connection's frames: `socket_link` is the fast one, `asgi` works on any ASGI server."""

from collections.abc import Coroutine
from typing import Any, Protocol

from service.engine.foundation.frames import Frame

EXTENSION = "service.link"
"""Where in the ASGI scope's extensions a server puts the link that it offers."""


class Receiver(Protocol):
    """Who is told what arrives; every call returns at once. `now` is a monotonic time."""

    def received(self, data: str | bytes, now: float) -> None:
        """A message has arrived."""

    def heard(self, now: float) -> None:
        """Bytes have arrived: a sign of life."""

    def broke(self, code: int, reason: str) -> None:
        """The client broke the protocol, and is not listened to any more: close when what it said is answered."""

    def ended(self, code: int, reason: str = "") -> None:
        """The client has closed, for a reason of its own, or its socket is gone. The first call counts."""

    def overflowed(self) -> None:
        """More is waiting for this client than its outbox may hold."""


class Link(Protocol):
    """One client's socket. Only `accept`, `drained` and `finish` wait."""

    can_ping: bool
    """Whether `ping` does anything."""

    async def run(self, life: Coroutine[Any, Any, None]) -> None:
        """Let a connection live: here, or as soon as all that has checked its handshake has returned."""

    async def accept(self, receiver: Receiver, subprotocol: str | None) -> None:
        """Accept the handshake, and tell `receiver` what arrives from now on; that it has ended, if it has."""

    def write(self, frame: Frame) -> None:
        """Send a frame as soon as the client reads; nothing once the link is closing."""

    def ping(self) -> None:
        """Send a protocol ping (RFC 6455 §5.5.2), where the server lets an application do so."""

    @property
    def congested(self) -> bool:
        """Whether so much waits to be sent that a sender had better wait too."""

    async def drained(self) -> None:
        """Wait until the link is no longer congested, or gone."""

    def buffered(self) -> int:
        """Bytes waiting to be sent."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self, code: int, reason: str, abort_after: float) -> None:
        """Start the closing handshake; drop the socket if the client has not ended it after `abort_after` seconds."""

    def abort(self) -> None:
        """Drop the socket at once, with everything that waits for it."""

    async def finish(self) -> None:
        """Wait until what was written is on its way, the close frame included, as far as the server needs us for it."""
