"""Every request that RFC 9110 and 9112 call legal is answered as they say, and every other is refused as they say."""

import asyncio
import json
import random
import subprocess

import pytest

from tests.engine.http.wire import PING, answer_to, handshake, line_of, opened, request
from tests.engine.kit.running import HOST, Service
from tests.engine.kit.tokens import token

LETTER = json.dumps({"user_id": 7, "data": {"a": 1}}).encode()
JSON = "Content-Type: application/json"
WRITER = f"Authorization: Bearer {token(1, scope='letters:write')}"
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")


def letter(*lines: str, body: bytes = LETTER) -> bytes:
    return request("POST", "/api/letters", JSON, WRITER, *lines, body=body)


# Whoever has said all still listens


async def test_a_client_that_closes_its_half_gets_every_answer_that_is_due(service: Service) -> None:
    async with opened(service) as wire:
        await wire.send(letter(), request(), letter(), b"GET /half")
        wire.say_no_more()
        assert [(await wire.answer()).status for _ in range(3)] == [201, 200, 201]
        await wire.ends()


@pytest.mark.parametrize("said", [b"", b"GET /half", letter()[:-3]])
async def test_one_that_has_not_asked_for_anything_is_let_go(service: Service, said: bytes) -> None:
    async with opened(service) as wire:
        await wire.send(said)
        wire.say_no_more()
        assert await wire.ends() < 5


# Chunks, and nothing but chunks, are understood (RFC 9112 §6.1)


@pytest.mark.parametrize(
    ("coding", "status"),
    [
        (["gzip, chunked"], 501), (["gzip", "chunked"], 501), (["identity, Chunked"], 501), (["chunked, gzip"], 400),
        (["gzip"], 400), (["chunked, chunked"], 400), (["chunked", "chunked"], 400), (["CHUNKED"], 201),
    ],
)  # fmt: skip
async def test_a_body_in_another_coding_is_refused(service: Service, coding: list[str], status: int) -> None:
    lines = [f"Transfer-Encoding: {value}" for value in coding]
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(LETTER), LETTER)
    answer = await answer_to(service, request("POST", "/api/letters", JSON, WRITER, *lines) + body)
    assert answer.status == status
    assert (json.loads(answer.body).get("type") == "error") == (status != 201)


async def test_http_1_0_knows_no_chunks(service: Service) -> None:
    lines = (JSON, WRITER, "Transfer-Encoding: chunked")
    data = request("POST", "/api/letters", *lines, version="1.0") + b"2\r\n{}\r\n0\r\n\r\n"
    assert (await answer_to(service, data)).problem == (400, "bad_request")


# An upgrade that we do not know is not asked for (RFC 9110 §7.8)


@pytest.mark.parametrize("upgrade", ["h2c", "TLS/1.0", "h2c, TLS/1.0", "websocket"])
async def test_a_request_that_would_rather_speak_another_protocol_is_answered_in_this_one(
    service: Service, upgrade: str
) -> None:
    answer = await answer_to(service, letter("Connection: Upgrade", f"Upgrade: {upgrade}"))
    assert (answer.version, answer.status, answer.all("upgrade")) == ("HTTP/1.1", 201, [])


async def test_its_body_may_come_later_and_in_pieces(service: Service) -> None:
    head = request("POST", "/api/letters", JSON, WRITER, *H2C, "Transfer-Encoding: chunked")
    async with opened(service) as wire:
        for part in (head[:-2], head[-2:], b"%x\r\n" % len(LETTER), LETTER[:5], LETTER[5:], b"\r\n0\r\n", b"\r\n"):
            await wire.send(part)
            await asyncio.sleep(0.02)  # in pieces: TCP would join them
        assert (await wire.answer()).status == 201


async def test_what_follows_on_the_connection_is_answered_too(service: Service) -> None:
    async with opened(service) as wire:
        await wire.send(letter(*H2C), request("GET", "/healthz", *H2C), letter(), request())
        assert [(await wire.answer()).status for _ in range(4)] == [201, 200, 201, 200]


async def test_a_broken_body_after_it_is_refused(service: Service) -> None:
    head = request("POST", "/api/letters", JSON, WRITER, *H2C, "Transfer-Encoding: chunked")
    assert (await answer_to(service, head + b"nonsense\r\n")).problem == (400, "bad_request")


async def test_the_application_sees_what_was_asked_for(service: Service) -> None:
    """A WebSocket endpoint says what its handshake lacks."""
    answer = await answer_to(service, request("GET", "/ws/letters", *H2C))
    assert answer.problem == (426, "upgrade_required")


@pytest.mark.needs("curl")
def test_curl_that_would_rather_speak_http_2_keeps_its_body(service: Service) -> None:
    command = ["curl", "--silent", "--http2", "--noproxy", "*", "--header", JSON, "--header", WRITER]
    sent = subprocess.run(
        [*command, "--data", LETTER.decode(), "--write-out", " %{http_code}", f"{service.http}/api/letters"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sent.stdout.endswith(" 201"), sent.stdout


# What is asked for (RFC 9112 §3.2)


async def test_the_absolute_form_names_the_path(service: Service) -> None:
    for target, status in {"/healthz": 200, "/healthz?a=b": 200, "/nothing": 404, "": 200, "?a=b": 200}.items():
        for scheme in ("http", "https", "HTTP"):
            assert (await answer_to(service, request("GET", f"{scheme}://{HOST}:80{target}"))).status == status


async def test_its_host_counts_and_not_that_of_the_header(service: Service) -> None:
    marked = request("GET", "http://named.example:81/nothing-of-the-kind", host="other.example")
    assert (await answer_to(service, marked)).status == 404
    assert (await line_of(service, path="/nothing-of-the-kind"))["host"] == "named.example:81"


@pytest.mark.parametrize("target", ["http://", "http:///healthz", "healthz", f"{HOST}:80"])
async def test_a_target_without_a_host_or_a_slash_is_refused(service: Service, target: str) -> None:
    assert (await answer_to(service, request("GET", target))).problem == (400, "bad_request")


async def test_the_server_as_a_whole_has_no_methods_of_its_own(service: Service) -> None:
    answer = await answer_to(service, request("OPTIONS", "*"))
    assert answer.status in {200, 204}
    assert answer.body == b""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_the_last_line_break_of_the_request_before_does_no_harm(service: Service, version: str) -> None:
    """RFC 9112 §2.2"""
    assert (await answer_to(service, b"\r\n" + request(version=version))).status == 200


# Who is asked (RFC 9112 §3.2)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Host: a.example", "Host: a.example"],
        ["Host: a.example", "Host: b.example"],
        ["Host: a.example, b.example"],
        ["Host: a.example/path"],
        ["Host: user@a.example"],
        ["Host: a b"],
        ["Host: [::1"],
        ["Host: a.example:port"],
    ],
)
@pytest.mark.parametrize("path", ["/healthz", "/ws/letters"])
async def test_a_request_has_one_host(service: Service, path: str, lines: list[str]) -> None:
    answer = await answer_to(service, request("GET", path, *lines, host=""))
    assert answer.problem == (400, "bad_request")


@pytest.mark.parametrize(
    "host", ["a.example", "A.EXAMPLE:80", "[::1]", "[::1]:8000", "a_b.example", "xn--bcher-kva.example"]
)
async def test_it_may_be_any_name(service: Service, host: str) -> None:
    assert (await answer_to(service, request(host=host))).status == 200


async def test_an_empty_host_is_one_and_http_1_0_needs_none(service: Service) -> None:
    assert (await answer_to(service, request("GET", "/healthz", "Host:", host=""))).status == 200
    assert (await answer_to(service, request(host="", version="1.0"))).status == 200


# What is said of the body, and around it


async def test_an_expectation_is_met_and_from_http_1_0_ignored(service: Service) -> None:
    """RFC 9110 §10.1.1"""
    expecting = letter("Expect: 100-continue")
    async with opened(service) as wire:
        await wire.send(expecting[: -len(LETTER)])
        assert (await wire.answer()).status == 100
        await wire.send(LETTER)
        assert (await wire.answer()).status == 201
    old = request("POST", "/api/letters", JSON, WRITER, "Expect: 100-continue", version="1.0", body=LETTER)
    assert (await answer_to(service, old)).status == 201


async def test_white_space_around_a_value_is_no_part_of_it(service: Service) -> None:
    """RFC 9112 §5.1"""
    blank = request("POST", "/api/letters", f"{JSON} \t ", f"{WRITER}  ", f"Content-Length: \t{len(LETTER)} ") + LETTER
    assert (await answer_to(service, blank)).status == 201


@pytest.mark.parametrize("line", ["Host : x", " Host: x", "X: a\r\n b", "X", ": x", "X\0: x", "X: \x7f", "X: a\rb"])
async def test_white_space_and_signs_elsewhere_are_refused(service: Service, line: str) -> None:
    assert (await answer_to(service, request("GET", "/healthz", line))).problem == (400, "bad_request")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(version="2.0"), 505),
        (request(version="0.9"), 505),
        (request("CONNECT", f"{HOST}:80"), 501),
        (request("CONNECT", f"{HOST}:80", *H2C), 501),
        (request("GET", "/" + "x" * 70_000), 414),
        (request("GET", "/healthz", "X: " + "x" * 70_000), 431),
        (request("GET", "/healthz", *(f"X-{number}: x" for number in range(10_000))), 431),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz\r\n\r\n", 505),
        (b"GET /healthz HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else value,
)
async def test_what_cannot_be_answered_otherwise_gets_its_status(service: Service, data: bytes, status: int) -> None:
    async with opened(service) as wire:
        await wire.send(data)
        answer = await wire.answer()
        assert answer.status == status
        assert answer.one("content-type") == "application/json"
        assert json.loads(answer.body).keys() == {"type", "code", "message"}
        assert answer.one("connection") == "close"
        assert answer.one("date")
        await wire.ends()


async def test_a_head_may_be_as_long_as_proxies_allow(service: Service) -> None:
    """64 KiB in all, in one line or in many; it is the same for handshakes."""
    for lines in (["X: " + "x" * 60_000], [f"X-{number}: {'x' * 50}" for number in range(1000)]):
        assert (await answer_to(service, request("GET", "/healthz", *lines))).status == 200


async def test_a_request_that_stops_halfway_is_told_so(service: Service) -> None:
    async with opened(service) as wire:
        await wire.send(request()[:-2])
        assert (await wire.answer(within=15)).problem == (408, "request_timeout")
        await wire.ends()


async def test_a_problem_of_the_second_request_waits_for_the_answer_to_the_first(service: Service) -> None:
    async with opened(service) as wire:
        await wire.send(request(), b"nonsense\r\n\r\n")
        assert (await wire.answer()).status == 200
        await wire.ends()


@pytest.mark.parametrize("seed", range(10))
async def test_however_the_network_cuts_it_the_answers_are_the_same(service: Service, seed: int) -> None:
    chunks = (
        b"5\r\n" + LETTER[:5] + b"\r\n%x;a=b\r\n" % (len(LETTER) - 5) + LETTER[5:] + b"\r\n0\r\nX-Trailer: x\r\n\r\n"
    )
    conversation = [
        (letter(*H2C), 201),
        (request("POST", "/api/letters", JSON, WRITER, *H2C, "Transfer-Encoding: chunked") + chunks, 201),
        (request("GET", f"http://{HOST}/healthz?a=b"), 200),
        (b"\r\n" + letter(), 201),
        (request("POST", "/nothing", *H2C, body=b"x" * 5000), 404),
        (handshake(Upgrade="h2c"), 426),
        (handshake("/ws/letters", "Content-Length: 3") + b"abc", 400),
        (handshake(Upgrade="h2c, websocket"), 101),
    ]
    data = b"".join(said for said, _ in conversation) + PING
    cuts = random.Random(seed)
    async with opened(service) as wire:
        while data:
            length = cuts.choice([1, 7, 40, 300, 2000])
            await wire.send(data[:length])
            data = data[length:]
            await asyncio.sleep(0.002)  # in pieces: TCP would join them
        assert [(await wire.answer()).status for _ in conversation] == [status for _, status in conversation]
        assert await wire.pong()
