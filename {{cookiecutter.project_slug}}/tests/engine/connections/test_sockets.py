"""A socket of ours from the first byte after its handshake: whatever comes, in whatever pieces, and whoever leaves."""

import contextlib

import pytest

from tests.engine.http.wire import PING, handshake, opened
from tests.engine.kit.raw import CLOSE, PONG, TEXT, RawClient, frame
from tests.engine.kit.raw import PING as PROTOCOL_PING
from tests.engine.kit.running import Service
from tests.engine.kit.waiting import eventually


async def test_a_client_that_does_not_wait_for_its_answer_is_understood(service: Service) -> None:
    """In order, and however much it says: more than is kept of it is left in the socket until it is in."""
    async with opened(service) as wire:
        await wire.send(handshake() + PING * 30)
        assert (await wire.answer()).status == 101
        for _ in range(30):
            assert await wire.pong()


@pytest.mark.parametrize("kilobytes", [1, 500])
async def test_what_it_says_early_does_not_hide_why_it_is_refused(service: Service, kilobytes: int) -> None:
    async with opened(service) as wire:
        await wire.send(handshake(Authorization="Bearer wrong"), frame(TEXT, b"x" * 1000) * kilobytes)
        assert (await wire.answer()).problem == (401, "invalid_token")
        assert await wire.ends() < 5


async def test_who_is_refused_and_neither_reads_nor_goes_is_let_go(service: Service) -> None:
    (worker,) = service.workers()
    before = len(worker.net_connections("tcp"))
    async with RawClient.unshaken(service.port, 2048) as client:
        await client.send(handshake("/ws/letters", Authorization=None))
        await eventually(lambda: len(worker.net_connections("tcp")) > before, "it is connected")
        took = await eventually(lambda: len(worker.net_connections("tcp")) == before, "it is not any more", within=10)
        assert took < 5


async def test_who_says_that_it_will_say_no_more_is_gone(service: Service) -> None:
    before = service.open_sockets()
    for early in (True, False):
        async with RawClient.unshaken(service.port) as client:
            await client.send(handshake())
            if not early:
                await client.read_some()
            client.finish()
            with contextlib.suppress(ConnectionError):
                while await client.read_some():
                    pass
            await eventually(lambda: service.open_sockets() == before, "its socket is closed")


async def test_messages_in_single_bytes_are_messages(service: Service) -> None:
    async with RawClient.connected(service.port, "/ws/echo") as client:
        for byte in frame(TEXT, b"slowly") + frame(PROTOCOL_PING, b"?"):
            await client.send(bytes([byte]))
        found = [await client.read_frame() for _ in range(2)]
        assert sorted(found) == [(TEXT, b"Echo: slowly"), (PONG, b"?")]


async def test_a_close_amid_fragments_is_answered_as_any_other(service: Service) -> None:
    """RFC 6455 §5.4: a control frame may stand between fragments."""
    async with RawClient.connected(service.port, "/ws/echo") as client:
        await client.send(frame(TEXT, b"unfinished", final=False) + frame(CLOSE, b"\x0f\xa1bye"))
        assert await client.read_frame() == (CLOSE, b"\x0f\xa1bye")


@pytest.mark.parametrize(
    ("breach", "code"),
    [
        (frame(TEXT, b"x", reserved=4), 1002),
        (frame(3, b""), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (b"\x81\xff" + bytes(4) + b"\xff" * 4 + b"mask", 1009),
    ],
    ids=["a reserved bit", "a reserved opcode", "no UTF-8", "too long"],
)
async def test_what_was_said_before_a_breach_is_answered_first(service: Service, breach: bytes, code: int) -> None:
    async with RawClient.connected(service.port, "/ws/echo") as client:
        await client.send(frame(TEXT, b"1") + frame(TEXT, b"2") + breach + frame(TEXT, b"3"))
        assert await client.read_frame() == (TEXT, b"Echo: 1")
        assert await client.read_frame() == (TEXT, b"Echo: 2")
        opcode, payload = await client.read_frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)
        with pytest.raises(ConnectionError):
            await client.read_frame()
