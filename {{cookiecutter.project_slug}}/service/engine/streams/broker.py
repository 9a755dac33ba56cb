"""What carries events between processes: PostgreSQL by default, Valkey when `VALKEY_URL` is set (`delivery`)."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

Receive = Callable[[str, str], Awaitable[None]]
"""Called with a topic and the payload of each event on it, one after the other."""


class Broker(Protocol):
    """A process's connection to the others."""

    @property
    def connected(self) -> bool: ...

    def channel(self, topic: str) -> str | None:
        """The topic in a NOTIFY channel (`storage.channels`), if events leave with the transaction that stores them."""

    def publish(self, topic: str, payload: str) -> None:
        """Send what was committed, soon: nobody waits for it. Does nothing where it left with the transaction."""

    async def signal(self, batch: Sequence[tuple[str, str]]) -> bool:
        """Publish, at most once, what leaves with no transaction; returns whether it could be."""

    def publishing(self) -> AbstractAsyncContextManager[None]:
        """Publish while the block runs, and at its end what is left: for processes that only publish."""

    async def listen(self, topics: Iterable[str]) -> None:
        """Return when everything published on the topics from now on will be received."""

    def forget(self, topic: str) -> None:
        """Receive no more of a topic."""

    async def run(self, receive: Receive, resumed: Callable[[], None]) -> None:
        """Stay connected. Calls `resumed` after each connection, when events may have been missed."""
