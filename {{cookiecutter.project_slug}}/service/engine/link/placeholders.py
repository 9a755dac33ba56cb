"""What all connections share until one of them needs its own: it would cost each half a KiB."""

import asyncio

WRITABLE = asyncio.Event()
"""Stands for the event of a link that was never congested, and is never cleared."""
WRITABLE.set()


class _Nobody:
    """In place of the queue of ASGI events, once the engine is told what arrives instead."""

    def put_nowait(self, _event: object) -> None: ...

    def empty(self) -> bool:
        return True


NOBODY = _Nobody()
