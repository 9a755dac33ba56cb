"""The link of server-sent events: `server_sent_socket` is the fast one, `server_sent_asgi` works on any ASGI server."""

from collections.abc import Sequence
from typing import Protocol

Headers = Sequence[tuple[bytes, bytes]]

HEARTBEAT = b":\n\n"
HIGH_WATER = 65_536
"""Bytes waiting to be sent from which a link is congested (asyncio's default)."""


class Client(Protocol):
    """Who is told how it goes; every call returns at once."""

    def heard(self) -> None:
        """Something was sent: the client takes what it is sent."""

    def ended(self, code: int) -> None:
        """The client has gone."""

    def overflowed(self) -> None:
        """More is waiting for this client than its outbox may hold."""


class ServerSentLink(Protocol):
    """An answer to HTTP that does not end. Only `start`, `drained` and `run` wait."""

    can_ping: bool

    async def start(self, headers: Headers) -> None:
        """Send the head."""

    def write(self, encoded: bytes) -> None:
        """Send something as soon as the client reads; nothing once the link is closing."""

    def ping(self) -> None:
        """Send a heartbeat: where nobody takes it, sending comes to a halt."""

    @property
    def congested(self) -> bool:
        """Whether so much waits to be sent that a sender had better wait too."""

    async def drained(self) -> None:
        """Wait until the link is no longer congested, or gone."""

    def buffered(self) -> int:
        """Bytes waiting to be sent."""

    def close(self) -> None:
        """End the answer when all is sent that was written."""

    def abort(self) -> None:
        """Drop the socket at once, with everything that waits for it."""

    async def run(self, client: Client) -> None:
        """Send what was and is written since `start`, until the link is closed."""
