"""What a client has said before it ends its connection, or says something that does, counts: it is stored."""

import json

import pytest

from tests.engine.kit.raw import BINARY, CLOSE, PING, TEXT, RawClient, frame
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

FATAL: dict[str, tuple[bytes, int]] = {
    "a close": (frame(CLOSE, b"\x03\xe8"), 1000),
    "a binary message": (frame(BINARY, b"{}"), 1003),
    "a frame that is too large": (b"\x81\xff" + (2**31).to_bytes(8, "big") + b"mask", 1009),
    "a reserved bit": (frame(TEXT, b"{}", reserved=4), 1002),
    "a frame without a mask": (frame(TEXT, b"{}", masked=False), 1002),
    "text that is not UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "ten bad messages": (frame(TEXT, b"nonsense") * 10, 1008),
}


def entry(body: str) -> bytes:
    return frame(TEXT, json.dumps({"type": "new_entry", "body": body}).encode())


def stored(service: Service, room: int) -> list[str]:
    rows = service.database.rows("select body from entries where room_id = %s order by seq", room)
    return [body for (body,) in rows]


@pytest.mark.parametrize("name", FATAL)
@pytest.mark.parametrize("count", [1, 8])
async def test_what_is_read_together_with_the_end_is_stored(service: Service, room: int, name: str, count: int) -> None:
    end, code = FATAL[name]
    bodies = [str(number) for number in range(count)]
    async with RawClient.connected(service.port, f"/ws/rooms/{room}", token(7)) as client:
        await client.send(b"".join(map(entry, bodies)) + end)
        assert await client.close_code() == code
    await eventually(lambda: stored(service, room) == bodies, "all of it is stored")


async def test_nothing_said_after_the_end_is(service: Service, room: int) -> None:
    for end, _ in FATAL.values():
        async with RawClient.connected(service.port, f"/ws/rooms/{room}", token(7)) as client:
            await client.send(end + entry("after the end"))
            await client.close_code()
    async with RawClient.connected(service.port, f"/ws/rooms/{room}", token(7)) as client:
        await client.send(entry("the last"))
        await eventually(lambda: stored(service, room), "what came later is stored")
    assert stored(service, room) == ["the last"]


async def test_the_close_is_the_last_that_is_sent(service: Service, room: int) -> None:
    """An answer and a pong that are due go before it, not after."""
    said = frame(TEXT, b'{"type":"ping"}') + frame(PING, b"x")
    async with RawClient.connected(service.port, f"/ws/rooms/{room}", token(7)) as client:
        await client.send(said + FATAL["a reserved bit"][0])
        opcodes = [(await client.read_frame())[0] for _ in range(3)]
        assert opcodes[-1] == CLOSE
        with pytest.raises(ConnectionError):
            await client.read_frame()
