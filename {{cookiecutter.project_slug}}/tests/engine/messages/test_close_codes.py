"""Every close code of the contract, on a real socket; frames as only a broken client makes them."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from tests.engine.kit.client import connected
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.raw import BINARY, CLOSE, PING, PONG, TEXT, RawClient, frame
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

PATHS = ["/ws/echo", "/ws/letters"]
BROKEN: dict[str, tuple[bytes, set[int]]] = {
    "not masked": (frame(TEXT, b"hello", masked=False), {1002, 1006}),
    "reserved bit": (frame(TEXT, b"hello", reserved=4), {1002}),
    "reserved opcode": (frame(3, b""), {1002}),
    "reserved control opcode": (frame(11, b""), {1002}),
    "continuation of nothing": (frame(0, b"more"), {1002}),
    "control frame too long": (frame(PING, b"x" * 126), {1002}),
    "control frame in fragments": (frame(PING, b"x", final=False), {1002}),
    "new message within another": (frame(TEXT, b"a", final=False) + frame(TEXT, b"b"), {1002}),
    "text that is not UTF-8": (frame(TEXT, b"\xff\xfe"), {1007}),
    "a length no memory holds": (b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", {1009}),
    "close with one byte": (frame(CLOSE, b"\x03"), {1002}),
    "close with a code that is none": (frame(CLOSE, b"\x03\xed"), {1002}),
    "close with a reason that is not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), {1007, 1002}),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("data", "codes"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_frame_ends_its_connection_with_its_code(
    service: Service, connect: Connect, path: str, data: bytes, codes: set[int]
) -> None:
    witness = await connect(service, "/ws/echo")
    async with RawClient.connected(service.port, path, token(1)) as client:
        await client.send(data)
        assert await client.close_code() in codes
    await witness.send_raw("unharmed")
    assert await witness.receive_raw() == "Echo: unharmed"


@pytest.mark.parametrize("path", PATHS)
async def test_a_protocol_ping_is_answered_with_its_own_payload(service: Service, path: str) -> None:
    async with RawClient.connected(service.port, path, token(1)) as client:
        for payload in (b"", b"are you there", b"x" * 125):
            await client.send_frame(PING, payload)
            assert await client.read_frame() == (PONG, payload)


async def test_a_ping_between_fragments_is_answered_before_the_message(service: Service) -> None:
    async with RawClient.connected(service.port, "/ws/echo") as client:
        await client.send(frame(TEXT, b"one ", final=False) + frame(PING, b"p") + frame(0, b"two"))
        assert await client.read_frame() == (PONG, b"p")
        assert await client.read_frame() == (TEXT, b"Echo: one two")


@pytest.mark.parametrize("path", PATHS)
async def test_a_close_is_answered_with_its_code(service: Service, path: str) -> None:
    async with RawClient.connected(service.port, path, token(1)) as client:
        await client.send_frame(CLOSE, b"\x03\xe8bye")
        assert await client.close_code() == 1000


async def test_frames_that_arrive_byte_by_byte_are_one_message(service: Service) -> None:
    async with RawClient.connected(service.port, "/ws/echo") as client:
        for byte in frame(BINARY, b"slowly"):
            await client.send(bytes([byte]))
        assert await client.read_frame() == (BINARY, b"slowly")


async def test_many_clients_that_vanish_leave_nothing_behind(service: Service, connect: Connect, room: int) -> None:
    """By a TCP reset, in the middle of a message, on a topic that goes on."""
    path = f"/ws/rooms/{room}"
    writer = await connect(service, path, user=1)
    for _ in range(10):
        async with RawClient.connected(service.port, path, token(2)) as client:
            await client.send(frame(TEXT, b'{"type":"new_entry","body":"half')[:-7])
            client.reset()
        await writer.send({"type": "new_entry", "body": "whole"})
    answers = await writer.receive_many(10)
    assert [answer["seq"] for answer in answers] == list(range(1, 11))


async def test_a_handshake_that_is_none_is_answered_by_http(service: Service) -> None:
    async with RawClient.unshaken(service.port) as client:
        await client.send(b"GET /ws/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await client.read_some()).startswith(b"HTTP/1.1 4")


async def test_compression_is_not_negotiated(service: Service, connect: Connect) -> None:
    """Per-message deflate costs tens of kilobytes a connection: off unless a team wants it."""
    client = await connect(service, "/ws/echo", headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
    assert client.websocket.response is not None
    assert "sec-websocket-extensions" not in client.websocket.response.headers


@pytest.mark.parametrize(
    "last_words",
    [frame(BINARY, b"x"), frame(TEXT, b"{") * 10, frame(TEXT, b"x" * 70_000), frame(TEXT, b"\xff")],
    ids=["binary", "ten bad messages", "too big", "not UTF-8"],
)
async def test_a_close_right_behind_what_ends_the_connection_frees_its_place(
    shared_service: StartService, user: int, last_words: bytes
) -> None:
    service = shared_service(MAX_CONNECTIONS_PER_USER="1")
    path = "/ws/letters"
    async with RawClient.connected(service.port, path, token(user)) as client:
        await client.send(last_words + frame(CLOSE, b"\x03\xe8"))
        assert await client.close_code() in {1000, 1003, 1007, 1008, 1009}

    async def there_is_room() -> bool:
        try:
            async with connected(service.ws, path, user=user) as again:
                await again.lives()
        except InvalidStatus:
            return False
        return True

    await eventually(there_is_room, "the user may connect again")


async def test_a_client_that_speaks_before_it_is_let_in_is_heard_afterwards(service: Service) -> None:
    async with RawClient.unshaken(service.port) as client:
        ping = frame(TEXT, b'{"type":"ping"}')
        shaking = asyncio.create_task(client.shake_hands(service.port, "/ws/letters", token(1)))
        await asyncio.sleep(0)
        await client.send(ping)
        await shaking
        await client.send(ping)
        assert await client.read_frame() == (TEXT, b'{"type":"pong"}')
