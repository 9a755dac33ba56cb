"""Brokers carry events between processes. `postgres` is the default; `valkey` takes over when `VALKEY_URL` is set."""

from collections.abc import Callable, Iterable
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

Receive = Callable[[str, str], None]
"""Called with a topic and the payload of each event on it."""


class Broker(Protocol):
    """A process's connection to the others."""

    @property
    def connected(self) -> bool: ...

    def channel(self, topic: str) -> str | None:
        """The NOTIFY channel for `topic`, if events leave with the transaction that stores them."""

    async def publish(self, topic: str, payload: str) -> None:
        """Send what a transaction has committed. Does nothing where it has left with the transaction."""

    async def notify(self, session: AsyncSession, topic: str, payload: str) -> None:
        """Send `payload` when, and only if, the session commits."""

    async def listen(self, topics: Iterable[str]) -> None:
        """Return when everything published on the topics from now on will be received."""

    def forget(self, topic: str) -> None:
        """Receive no more of a topic."""

    async def run(self, receive: Receive, resumed: Callable[[], None]) -> None:
        """Stay connected. Calls `resumed` after each connection, when events may have been missed."""
