"""What carries a connection's frames: `uvicorn_link` is the fast one, `asgi_link` works on any ASGI server."""

from typing import Protocol

from service.engine.foundation.frames import Frame

EXTENSION = "service.link"
"""Where in the ASGI scope's extensions a server puts the link that it offers."""


class Receiver(Protocol):
    """Who is told what arrives; every call returns at once."""

    def received(self, data: str | bytes) -> None:
        """A message has arrived."""

    def heard(self) -> None:
        """Bytes have arrived: a sign of life."""

    def ended(self, code: int) -> None:
        """The client has closed, broke the protocol, or its socket is gone. The first call counts."""

    def overflowed(self) -> None:
        """More is waiting for this client than its outbox may hold."""


class Link(Protocol):
    """One client's socket. Only `drained` waits."""

    can_ping: bool
    """Whether `ping` does anything."""

    def attach(self, receiver: Receiver) -> None:
        """The handshake is accepted: tell `receiver` what arrives from now on."""

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
