"""What a client's bytes mean: the same wherever they are cut, and the same as websockets' parser says."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from service.engine.link.reader import BINARY, CLOSE, PING, PONG, TEXT, BrokenRules, FrameReader, Part, code_of
from tests.engine.kit.raw import frame

MOST = 1000
Reading = tuple[list[Part], int | None]
"""The messages and control frames, and the code by which a breach ends them."""

MESSAGES: dict[str, tuple[bytes, list[Part]]] = {
    "nothing": (b"", []),
    "a text": (frame(TEXT, "häßlich".encode()), [(TEXT, "häßlich")]),
    "an empty text": (frame(TEXT, b""), [(TEXT, "")]),
    "bytes": (frame(BINARY, b"\0\xff"), [(BINARY, b"\0\xff")]),
    "three messages": (frame(TEXT, b"1") + frame(BINARY, b"2") + frame(TEXT, b"3"), [(1, "1"), (2, b"2"), (1, "3")]),
    "125, 126 and 127 bytes": (
        b"".join(frame(BINARY, b"x" * length) for length in (125, 126, 127)),
        [(BINARY, b"x" * length) for length in (125, 126, 127)],
    ),
    "as many bytes as may be": (frame(TEXT, b"x" * MOST), [(TEXT, "x" * MOST)]),
    "a length longer than it needs to be": (b"\x81\xfe\x00\x01\0\0\0\0x", [(TEXT, "x")]),
    "a length of eight bytes for one": (b"\x81\xff" + bytes(7) + b"\x01\0\0\0\0x", [(TEXT, "x")]),
    "fragments": (
        frame(TEXT, b"a", final=False) + frame(0, b"b", final=False) + frame(0, b"c"),
        [(TEXT, "abc")],
    ),
    "a character cut in two": (
        frame(TEXT, "ä".encode()[:1], final=False) + frame(0, "ä".encode()[1:]),
        [(TEXT, "ä")],
    ),
    "empty fragments": (
        frame(BINARY, b"", final=False) + frame(0, b"", final=False) * 50 + frame(0, b""),
        [(BINARY, b"")],
    ),
    "control frames amid fragments": (
        frame(TEXT, b"a", final=False) + frame(PING, b"?") + frame(PONG, b"!") + frame(0, b"b"),
        [(PING, b"?"), (PONG, b"!"), (TEXT, "ab")],
    ),
    "a close amid fragments": (
        frame(TEXT, b"a", final=False) + frame(CLOSE, b"\x03\xe8bye"),
        [(CLOSE, b"\x03\xe8bye")],
    ),
    "a ping of 125 bytes": (frame(PING, b"x" * 125), [(PING, b"x" * 125)]),
}
BREACHES: dict[str, tuple[bytes, int]] = {
    "reserved bit 1": (frame(TEXT, b"x", reserved=4), 1002),
    "reserved bit 2": (frame(TEXT, b"x", reserved=2), 1002),
    "reserved bit 3 of a ping": (frame(PING, b"x", reserved=1), 1002),
    **{f"opcode {opcode}": (frame(opcode, b"x"), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "no mask": (frame(TEXT, b"x", masked=False), 1002),
    "no mask on a ping": (frame(PING, b"x", masked=False), 1002),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "a fragment of a close": (frame(CLOSE, b"", final=False), 1002),
    "a fragment of nothing": (frame(0, b"x"), 1002),
    "a message within a message": (frame(TEXT, b"x", final=False) + frame(TEXT, b"y"), 1002),
    "a byte too many": (frame(TEXT, b"x" * (MOST + 1)), 1009),
    "a byte too many, in fragments": (frame(TEXT, b"x" * MOST, final=False) + frame(0, b"x"), 1009),
    "the longest length": (b"\x81\xff" + b"\xff" * 8 + b"mask", 1009),
    "text that is not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "text that ends in half a character": (frame(TEXT, "ä".encode()[:1]), 1007),
    "half a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
}


def read(*pieces: bytes) -> Reading:
    reader = FrameReader(MOST)
    found: list[Part] = []
    try:
        for piece in pieces:
            for part in reader.read(piece):
                if part[0] == CLOSE:
                    assert isinstance(part[1], bytes)
                    code_of(part[1])
                    return [*found, part], None
                found.append(part)
    except BrokenRules as broken:
        return found, broken.code
    return found, None


def splits(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """Cut in two at every place, and in single bytes."""
    yield from ((data[:at], data[at:]) for at in range(len(data) + 1))
    yield tuple(data[at : at + 1] for at in range(len(data)))


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_the_same_wherever_it_is_cut(name: str) -> None:
    data, expected = MESSAGES[name]
    for pieces in splits(data):
        assert read(*pieces) == (expected, None)


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_found_wherever_it_is_cut_and_after_what_was_said_before(name: str) -> None:
    breach, code = BREACHES[name]
    for pieces in splits(frame(TEXT, b"before") + breach):
        assert read(*pieces) == ([(TEXT, "before")], code)


@pytest.mark.parametrize("name", [name for name in BREACHES if BREACHES[name][1] != 1007])
def test_a_breach_is_found_by_a_frames_head(name: str) -> None:
    """Nobody need send, and nobody keep, what follows it."""
    breach, code = BREACHES[name]
    heads = 14 if name == "the longest length" else len(breach) - 1
    assert read(breach[:heads]) == ([], code)


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", 1005), (b"\x03\xe8", 1000), (b"\x03\xf6", 1014), (b"\x0b\xb8bye", 3000), (b"\x13\x87", 4999)],
)
def test_a_close_has_a_code(payload: bytes, code: int) -> None:
    assert code_of(payload) == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", 1002),
        *((number.to_bytes(2, "big"), 1002) for number in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)),
        (b"\x03\xe8\xff", 1007),
    ],
)
def test_a_close_may_not_have_any(payload: bytes, code: int) -> None:
    with pytest.raises(BrokenRules) as broken:
        code_of(payload)
    assert broken.value.code == code


def test_what_is_left_of_many_empty_fragments_is_nothing() -> None:
    reader = FrameReader(MOST)
    assert list(reader.read(frame(TEXT, b"", final=False) + frame(0, b"", final=False) * 100_000)) == []
    assert list(reader.read(frame(0, b"x"))) == [(TEXT, "x")]


# Against websockets


def oracle(data: bytes) -> Reading:
    """What websockets' own parser makes of it; it leaves the messages, and whether they are UTF-8, to its user."""
    protocol = ServerProtocol(max_size=MOST, state=State.OPEN)
    protocol.receive_data(data)
    found: list[Part] = []
    message = b""
    kind = 0
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
            found.append((int(event.opcode), bytes(event.data)))
            continue
        if event.opcode is not Opcode.CONT:
            message, kind = b"", int(event.opcode)
        message += bytes(event.data)
        if event.fin:
            try:
                found.append((kind, message.decode() if kind == TEXT else message))
            except UnicodeDecodeError:
                return found, 1007
    failed = protocol.parser_exc is not None
    return found, protocol.close_sent.code if failed and protocol.close_sent is not None else None


payloads = st.text(max_size=30).map(str.encode) | st.binary(max_size=30) | st.sampled_from([b"x" * 126, b"x" * 600])
legal = st.builds(frame, st.sampled_from([TEXT, BINARY, PING, PONG]), st.text(max_size=30).map(str.encode))
fragmented = st.lists(st.text(max_size=20).map(str.encode), min_size=2, max_size=5).map(
    lambda parts: b"".join(
        frame(TEXT if index == 0 else 0, part, final=index == len(parts) - 1) for index, part in enumerate(parts)
    )
)
closes = st.builds(
    lambda code, reason: frame(CLOSE, code.to_bytes(2, "big") + reason.encode()),
    st.integers(0, 65_535) | st.sampled_from([1000, 1001, 1005, 1006, 1012, 3000, 4999]),
    st.text(max_size=20),
)
any_frames = st.builds(
    frame,
    st.integers(0, 15),
    payloads,
    final=st.booleans(),
    masked=st.sampled_from([True] * 9 + [False]),
    reserved=st.sampled_from([0] * 9 + [1, 2, 4]),
)
streams = st.lists(legal | fragmented | any_frames | closes, max_size=6).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(streams, st.data())
def test_any_frames_are_read_as_websockets_reads_them(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found, code = read(*pieces)
    expected, expected_code = oracle(stream)
    if found and found[-1][0] == CLOSE and expected == found[:-1]:
        assert expected_code == 1002, "a close amid fragments is legal (RFC 6455 §5.4), and websockets says otherwise"
        return
    assert (code is None) == (expected_code is None)
    assert found == expected
    if code != expected_code:
        assert {code, expected_code} <= {1002, 1007, 1009}, "a frame with two faults"


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_websockets_reads_them(noise: bytes) -> None:
    for stream in (noise, frame(TEXT, b"a") + noise):
        found, code = read(stream)
        expected, expected_code = oracle(stream + bytes(2 * MOST) if code else stream)
        assert found == expected[: len(found)]
        assert (code is None) == (expected_code is None)
