"""Every opening handshake that RFC 6455 calls legal is accepted, and every other is told what it lacks."""

import asyncio

import pytest

from tests.engine.http.wire import Answer, answer_to, handshake, opened, request
from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.running import HOST, Service
from tests.engine.kit.tokens import token

LEGAL: dict[str, bytes] = {
    "as it is in the RFC": handshake(),
    "in capitals": handshake(Connection="UPGRADE", Upgrade="WEBSOCKET"),
    "Firefox": handshake(Connection="keep-alive, Upgrade"),
    "another protocol too": handshake(Upgrade="websocket, h2c"),
    "another protocol first": handshake(Upgrade="h2c,websocket"),
    "two lines of Upgrade": handshake("/ws/letters", "Upgrade: h2c"),
    "two lines of Connection": handshake("/ws/letters", "Connection: keep-alive"),
    "two lines of Connection, the other way round": handshake(
        "/ws/letters", "Connection: Upgrade", Connection="keep-alive"
    ),
    "empty members of a list": handshake(Connection=",Upgrade, ", Upgrade=", websocket"),
    "white space after a value": handshake(Upgrade="websocket  ", Connection="Upgrade\t", Sec_WebSocket_Version="13 "),
    "an absolute address": handshake(f"http://{HOST}/ws/letters"),
    "an absolute address of a WebSocket": handshake(f"ws://{HOST}/ws/letters"),
    "a length of nothing": handshake("/ws/letters", "Content-Length: 0"),
    "letters beyond ASCII": handshake("/ws/letters", "X-Name: J\xfcrgen"),
    "extensions that we do not know": handshake("/ws/letters", "Sec-WebSocket-Extensions: permessage-deflate; foo"),
    "a long head": handshake("/ws/letters", "Cookie: " + "x" * 60_000),
    "many headers": handshake("/ws/letters", *(f"X-{number}: {'x' * 50}" for number in range(1000))),
    "a long query": handshake(f"/ws/letters?x={'x' * 60_000}"),
}
REFUSED: dict[str, tuple[bytes, int, str, str]] = {
    "no Upgrade": (handshake(Upgrade=None), 426, "upgrade_required", "without `Upgrade: websocket`"),
    "no Connection": (handshake(Connection=None), 426, "upgrade_required", "without `Connection: upgrade`"),
    "nothing of a handshake": (request("GET", "/ws/letters"), 426, "upgrade_required", "proxy"),
    "a Connection for something else": (
        handshake(Connection="keep-alive"),
        426,
        "upgrade_required",
        "without `Connection: upgrade`",
    ),
    "another protocol": (handshake(Upgrade="h2c"), 426, "upgrade_required", "without `Upgrade: websocket`"),
    "HTTP/1.0": (handshake(version="1.0"), 426, "upgrade_required", "HTTP/1.0"),
    "a version of old": (handshake(Sec_WebSocket_Version="8"), 426, "invalid_handshake", "13"),
    "a version to come": (handshake(Sec_WebSocket_Version="14"), 426, "invalid_handshake", "13"),
    "a version that is none": (handshake(Sec_WebSocket_Version="13, 8"), 426, "invalid_handshake", "13"),
    "no version": (handshake(Sec_WebSocket_Version=None), 400, "invalid_handshake", "Sec-WebSocket-Version"),
    "two versions": (
        handshake("/ws/letters", "Sec-WebSocket-Version: 13"),
        400,
        "invalid_handshake",
        "Sec-WebSocket-Version",
    ),
    "no key": (handshake(Sec_WebSocket_Key=None), 400, "invalid_handshake", "Sec-WebSocket-Key"),
    "an empty key": (handshake(Sec_WebSocket_Key=""), 400, "invalid_handshake", "Sec-WebSocket-Key"),
    "a short key": (handshake(Sec_WebSocket_Key="eA=="), 400, "invalid_handshake", "Sec-WebSocket-Key"),
    "a key that is no Base64": (handshake(Sec_WebSocket_Key="!" * 24), 400, "invalid_handshake", "Sec-WebSocket-Key"),
    "a key in Unicode": (handshake(Sec_WebSocket_Key="\xe9" * 24), 400, "invalid_handshake", "Sec-WebSocket-Key"),
    "two keys": (
        handshake("/ws/letters", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        400,
        "invalid_handshake",
        "Sec-WebSocket-Key",
    ),
    "two origins": (
        handshake("/ws/letters", f"Origin: http://{HOST}", Origin="http://evil.example"),
        400,
        "invalid_handshake",
        "Origin",
    ),
    "a body": (handshake("/ws/letters", "Content-Length: 5") + b"hello", 400, "invalid_handshake", "body"),
    "a body in chunks": (
        handshake("/ws/letters", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        400,
        "invalid_handshake",
        "body",
    ),
    "POST": (handshake(method="POST"), 405, "invalid_handshake", "GET"),
    "POST, and nothing of a handshake": (request("POST", "/ws/letters"), 405, "invalid_handshake", "GET"),
}


@pytest.mark.parametrize("name", LEGAL)
async def test_a_legal_handshake_is_accepted(service: Service, name: str) -> None:
    async with opened(service) as wire:
        await wire.send(LEGAL[name])
        answer = await wire.answer()
        assert (answer.version, answer.status) == ("HTTP/1.1", 101)
        assert answer.one("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert (answer.one("upgrade"), answer.one("connection")) == ("websocket", "Upgrade")
        assert answer.all("sec-websocket-extensions") == []
        await wire.lives()


@pytest.mark.parametrize("name", REFUSED)
async def test_any_other_is_told_what_it_lacks(service: Service, name: str) -> None:
    data, status, code, about = REFUSED[name]
    async with opened(service) as wire:
        await wire.send(data)
        answer = await wire.answer()
        assert answer.problem == (status, code)
        assert about in answer.message
        if not data.startswith(b"POST") and b"HTTP/1.0" not in data:
            await wire.send(request())
            assert (await wire.answer()).status == 200, "nothing of it is left to be read"


@pytest.mark.parametrize("name", [name for name, refused in REFUSED.items() if refused[1] == 426])
async def test_it_is_told_what_would_be_right(service: Service, name: str) -> None:
    """RFC 6455 §4.4, RFC 9110 §15.5.22"""
    answer = await answer_to(service, REFUSED[name][0])
    assert answer.one("sec-websocket-version") == "13"
    assert answer.one("upgrade") == "websocket"
    assert "Upgrade" in answer.all("connection")


async def test_only_get_is_allowed(service: Service) -> None:
    assert (await answer_to(service, handshake(method="POST"))).one("allow") == "GET, HEAD"


async def test_a_path_without_a_websocket_knows_of_no_upgrade(service: Service) -> None:
    assert (await answer_to(service, request("GET", "/ws/nothing"))).problem == (404, "not_found")
    assert (await answer_to(service, handshake("/nothing", Sec_WebSocket_Key=None))).problem == (404, "not_found")


async def test_a_refusal_of_either_kind_has_the_headers_that_browsers_obey(service: Service) -> None:
    for data in (handshake(Upgrade=None), handshake(Authorization=None)):
        answer = await answer_to(service, data)
        assert answer.one("x-content-type-options") == "nosniff"
        assert answer.one("cache-control") == "no-store"
        assert answer.one("date")


@pytest.mark.parametrize("cut", [1, 20, 60, 100, 200])
async def test_a_handshake_may_come_in_pieces(service: Service, cut: int) -> None:
    whole = handshake()
    async with opened(service) as wire:
        await wire.send(whole[:cut])
        await asyncio.sleep(0.05)  # in pieces: TCP would join them
        await wire.send(whole[cut:])
        assert (await wire.answer()).status == 101
        await wire.lives()


async def test_a_head_too_long_is_refused_as_any_other(service: Service) -> None:
    long = [handshake("/ws/letters", "X: " + "x" * 70_000), request("GET", "/healthz", "X: " + "x" * 70_000)]
    answers: list[Answer] = [await answer_to(service, data) for data in long]
    assert answers[0].problem == answers[1].problem == (431, "request_header_fields_too_large")


# Where a page is from


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss", "WSS"])
async def test_the_same_host_is_the_same_by_any_protocol(service: Service, scheme: str) -> None:
    """Some native clients send the address that they connect to as their origin."""
    for host in ("chat.example.com:81", "chat.example.com", "[::1]:81"):
        answer = await answer_to(service, handshake(Host=host, Origin=f"{scheme}://{host}"))
        assert answer.status == 101


@pytest.mark.parametrize(
    "origin",
    ["wss://evil.example", "ws://chat.example.com:82", "null", "NULL", "", "file://", "wss://", "wss:chat.example.com"],
)
async def test_any_other_is_not(service: Service, origin: str) -> None:
    answer = await answer_to(service, handshake(Host="chat.example.com", Origin=origin))
    assert answer.problem == (403, "forbidden_origin")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example.org", 101),
        ("https://chat.example.com", 403),
        ("wss://chat.example.com", 101),
        ("wss://evil.example", 403),
        ("wss://app.example.org", 403),
        ("capacitor://localhost", 101),
        ("CAPACITOR://localhost", 101),
        ("capacitor://localhost:80", 403),
        ("capacitor://evil", 403),
        ("http://localhost", 403),
        ("chrome-extension://abcdefghijklmnopabcdefghijklmnop", 101),
        ("chrome-extension://ponmlkjihgfedcbaponmlkjihgfedcba", 403),
        ("null", 403),
    ],
)
async def test_with_a_list_only_its_origins_and_native_clients_may(
    shared_service: StartService, origin: str, status: int
) -> None:
    listed = "https://app.example.org, capacitor://localhost, chrome-extension://abcdefghijklmnopabcdefghijklmnop"
    service = shared_service(ALLOWED_ORIGINS=listed)
    answer = await answer_to(service, handshake(Host="chat.example.com", Origin=origin))
    assert answer.status == status


async def test_a_handshake_without_an_origin_is_no_browsers(shared_service: StartService) -> None:
    service = shared_service(ALLOWED_ORIGINS="https://app.example.org")
    assert (await answer_to(service, handshake(Authorization=f"Bearer {token(8)}"))).status == 101
