"""What a client is due in one turn of the event loop leaves in one write, in order, and before a close."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.engine.foundation.frames import Frame
from service.engine.link.link import Link
from service.engine.link.socket_link import link_class
from tests.engine.kit.raw import CLOSE, TEXT, RawClient, frame

SMALL, LARGE = b"small", b"large" * 1000
Answer = Callable[[Link], None]


class Transport:
    """A real transport, whose writes are counted."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self.writes += 1
        self._transport.write(data)


class Receiver:
    """Does its answer at each message."""

    def __init__(self, link: Link, answer: Answer) -> None:
        self._link = link
        self._answer = answer

    def received(self, _data: str | bytes, _now: float) -> None:
        self._answer(self._link)

    def heard(self, _now: float) -> None: ...

    def broke(self, code: int, reason: str) -> None: ...

    def overflowed(self) -> None: ...

    def ended(self, code: int, reason: str = "") -> None: ...


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[RawClient, Transport]]:
    """A client of a link that does `answer`, and the link's transport."""
    transports: list[Transport] = []
    make = link_class(1_048_576, 65_536)

    class Shaken(asyncio.Protocol):
        """Accepts whatever comes first as a handshake."""

        def connection_made(self, transport: Any) -> None:
            transports.append(Transport(transport))

        def data_received(self, _data: bytes) -> None:
            loop = asyncio.get_running_loop()
            link = make(loop, set())
            link.connection_made(transports[0])  # type: ignore[arg-type]
            link.asked(b"key", b"")
            transports[0].set_protocol(link)
            loop.create_task(link.accept(Receiver(link, answer), None))  # noqa: RUF006 - it does not wait

    server = await asyncio.get_running_loop().create_server(Shaken, "127.0.0.1", 0)
    async with server, RawClient.connected(server.sockets[0].getsockname()[1], "/") as client:
        transports[0].writes = 0
        yield client, transports[0]


@pytest.mark.parametrize(
    ("payloads", "writes"),
    [
        ([SMALL], 1),
        ([SMALL] * 10, 1),
        ([SMALL] * 40, 3),
        ([SMALL, SMALL, LARGE, SMALL], 2),
    ],
    ids=["one", "ten", "more than may wait", "a large one does not wait"],
)
async def test_frames_due_in_one_turn_leave_together_and_in_order(payloads: list[bytes], writes: int) -> None:
    numbered = [b"%d %s" % (number, payload) for number, payload in enumerate(payloads)]

    def answer(link: Link) -> None:
        for payload in numbered:
            link.write(Frame(payload))

    async with answering(answer) as (client, transport):
        await client.send_frame(TEXT, b"go")
        assert [await client.read_frame() for _ in numbered] == [(TEXT, payload) for payload in numbered]
        assert transport.writes == writes


async def test_what_waits_is_sent_before_a_close() -> None:
    def answer(link: Link) -> None:
        link.write(Frame(SMALL))
        link.close(1000, "", abort_after=1)

    async with answering(answer) as (client, _):
        await client.send_frame(TEXT, b"go")
        assert await client.read_frame() == (TEXT, SMALL)
        assert (await client.read_frame())[0] == CLOSE


async def test_what_waits_is_sent_to_a_client_that_closes() -> None:
    async with answering(lambda link: link.write(Frame(SMALL))) as (client, _):
        await client.send(b"".join([frame(TEXT, b"go"), frame(CLOSE, b"\x03\xe8")]))
        assert await client.read_frame() == (TEXT, SMALL)
        assert (await client.read_frame())[0] == CLOSE


async def test_a_link_that_is_gone_counts_nothing_as_waiting() -> None:
    links: list[Link] = []

    def answer(link: Link) -> None:
        link.write(Frame(SMALL))
        link.abort()
        link.write(Frame(SMALL))
        links.append(link)

    async with answering(answer) as (client, transport):
        await client.send_frame(TEXT, b"go")
        assert await client.close_code() == 1006
        assert transport.writes == 0
        assert links[0].buffered() == 0
