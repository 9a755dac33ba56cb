"""What counts as a usual handshake: nothing that the HTTP parser would read otherwise, or that would be refused."""

import random

import httptools
import pytest
from starlette.datastructures import Headers

from service.engine.link.handshake_head import Handshake, usual_handshake
from service.engine.link.handshake_refusal import refusal_of

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
USUAL = (
    b"GET /ws/rooms/7?after=3&token=a.b-c_d HTTP/1.1\r\n"
    b"Host: example.org:8000\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + KEY + b"\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"\r\n"
)


def with_line(line: bytes) -> bytes:
    return USUAL[:-2] + line + b"\r\n\r\n"


def asking_for(target: bytes) -> bytes:
    return USUAL.replace(b"/ws/rooms/7?after=3&token=a.b-c_d", target)


PLAIN = {
    "the least": USUAL,
    "a browser's": with_line(
        b"Origin: https://example.org\r\nPragma: no-cache\r\nCache-Control: no-cache\r\nCookie: a=b; c=d\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nSec-WebSocket-Protocol: live.v1, bearer.x\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    ),
    "Firefox's connection": USUAL.replace(b"n: Upgrade", b"n: keep-alive, Upgrade"),
    "names in another case": USUAL.replace(b"Sec-WebSocket-Key", b"SEC-WebSocket-key"),
    "an empty value": with_line(b"X-Nothing:"),
    "blanks around a value": with_line(b"X-Wide:   between blanks   "),
    "no blank before a value": USUAL.replace(b"Host: ", b"Host:"),
    "colons in a value": with_line(b"X-Time: 12:30:00"),
    "an underscore in a name": with_line(b"X_Under: score"),
    "a host that is none": USUAL.replace(b"example.org:8000", b"a b"),
    "no host": USUAL.replace(b"Host: example.org:8000\r\n", b""),
    "escapes": asking_for(b"/ws/caf%C3%A9/%2F?a=%20&b=c+d"),
    "the root": asking_for(b"/"),
    "two slashes": asking_for(b"//ws"),
    "a question alone": asking_for(b"/ws?"),
    "two questions": asking_for(b"/ws?a?b"),
    "a frame behind it": USUAL + b"\x81\x85\x00\x00\x00\x00hello\r\n\r\n",
    "another head behind it": USUAL + USUAL,
}
FOR_THE_PARSER = {
    "nothing": b"",
    "a line break first": b"\r\n" + USUAL,
    "another method": USUAL.replace(b"GET", b"POST"),
    "a method in another case": USUAL.replace(b"GET", b"get"),
    "an older version": USUAL.replace(b"1.1", b"1.0"),
    "HTTP/2's": USUAL.replace(b"1.1", b"2.0"),
    "no path": asking_for(b"*"),
    "an absolute address": asking_for(b"http://example.org/ws"),
    "a fragment": asking_for(b"/ws#there"),
    "a letter of no address": asking_for("/é".encode()),
    "a blank in the address": asking_for(b"/a b"),
    "a tab": asking_for(b"/a\tb"),
    "two blanks": USUAL.replace(b" HTTP", b"  HTTP"),
    "line feeds alone": USUAL.replace(b"\r\n", b"\n"),
    "a line feed alone": USUAL.replace(b"org:8000\r\n", b"org:8000\n"),
    "a carriage return in a value": with_line(b"X: a\rb"),
    "a line that goes on": with_line(b"X: a\r\n b"),
    "no colon": with_line(b"X"),
    "no name": with_line(b": x"),
    "a blank in a name": with_line(b"X Y: z"),
    "a blank before the colon": with_line(b"X : z"),
    "a tab before a value": with_line(b"X:\tz"),
    "a zero": with_line(b"X: a\0b"),
    "a letter beyond ASCII": with_line("X: é".encode()),
    "a header twice": with_line(b"Host: example.org"),
    "two origins": with_line(b"Origin: https://a.example\r\nOrigin: https://b.example"),
    "two keys": with_line(b"Sec-WebSocket-Key: " + KEY),
    "a body": with_line(b"Content-Length: 5") + b"hello",
    "an empty body": with_line(b"Content-Length: 0"),
    "a body in chunks": with_line(b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "no key": USUAL.replace(b"Sec-WebSocket-Key: " + KEY + b"\r\n", b""),
    "a key too short": USUAL.replace(KEY, KEY[4:]),
    "a key with bits to spare": USUAL.replace(KEY, KEY[:-3] + b"R=="),
    "another version": USUAL.replace(b"Version: 13", b"Version: 8"),
    "another protocol": USUAL.replace(b"websocket\r\n", b"h2c\r\n"),
    "no upgrade": USUAL.replace(b"Upgrade: websocket\r\n", b""),
    "a connection that is kept": USUAL.replace(b"n: Upgrade", b"n: keep-alive"),
    "more than it may be": with_line(b"X: " + b"x" * 16_384),
}


class Oracle:
    """What the HTTP parser makes of a head."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def read(self, data: bytes) -> Handshake | None:
        """None if it is no handshake that would be let through."""
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            method, version = parser.get_method().decode(), parser.get_http_version()
            if refusal_of(method, version, Headers(raw=self.headers)) is None:
                return Handshake(self.target, self.headers, data[stopped.args[0] :])
        except httptools.HttpParserError:
            pass
        return None


@pytest.mark.parametrize("name", PLAIN)
def test_a_usual_one_is_read_as_the_parser_reads_it(name: str) -> None:
    read = usual_handshake(PLAIN[name])
    assert read is not None
    assert read == Oracle().read(PLAIN[name])


@pytest.mark.parametrize("name", FOR_THE_PARSER)
def test_any_other_is_the_parsers_to_read(name: str) -> None:
    assert usual_handshake(FOR_THE_PARSER[name]) is None


def test_a_part_of_one_is_the_parsers_to_read() -> None:
    assert [usual_handshake(USUAL[:length]) for length in range(len(USUAL))] == [None] * len(USUAL)


def test_no_change_makes_it_something_that_the_parser_would_read_otherwise() -> None:
    chance = random.Random(7455)
    usual = list(PLAIN.values())
    found = 0
    for _ in range(20_000):
        data = bytearray(chance.choice(usual))
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data))
            other = chance.choice([chance.randrange(256), *b"\r\n :;,\t?#%/0aZ"])
            match chance.randrange(4):
                case 0:
                    data[at] = other
                case 1:
                    data.insert(at, other)
                case 2:
                    del data[at]
                case _:
                    end = chance.randrange(len(data))
                    data[at:at] = data[min(at, end) : max(at, end)]
        read = usual_handshake(bytes(data))
        if read is not None:
            found += 1
            assert read == Oracle().read(bytes(data)), bytes(data)
    assert found > 2000, "some of them are still usual"
