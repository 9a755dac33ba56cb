"""What an attacker may try, and the exact answer: one service as in production, all it said, and all it wrote."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import httpx
import pytest
from pydantic import SecretStr

from service.engine.foundation.settings import Settings
from tests.engine.kit.client import Client, connected, refused
from tests.engine.kit.commands import SECRET_KEY
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address
from tests.engine.kit.raw import BINARY, CLOSE, HOST, PING, TEXT, RawClient, frame
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

Attack = Callable[[Service], Awaitable[Any]]

PATH, ENTRIES, LETTERS = "/ws/letters", "/ws/rooms/1", "/api/letters"
ATTACKER, VICTIM, READER, FLOODER, HOARDER, WRITER = 666, 770_777_077, 888, 999, 1000, 1001
AT_ONCE = 16
INVALID, MISSING = (401, "invalid_token", 1008), (401, "missing_token", 1008)
BAD_REQUEST, TOO_LARGE = (400, "bad_request"), (431, "request_header_fields_too_large")
NOT_FOUND, FOREIGN = (404, "not_found", 1008), (403, "forbidden_origin", 1008)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "strict-transport-security": "max-age=31536000",
}
FORGED = 'x\r\n{"event":"forged","level":"info","timestamp":"1970-01-01"}\r\n'
HOSTILE_TEXTS = [
    "'; DROP TABLE entries; --",
    "1' OR '1'='1",
    "%s %(body)s :body {} {0} ${x} $1",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</textarea>&lt;b&gt;&amp;amp;&#0;",
    '"},{"type":"entry","body":"second"}',
    "{{7*7}}${7*7}<%= 7*7 %>{" + "% raw %}",  # apart, because the template is searched for Jinja
    FORGED,
    "\u202egnp.exe\ufeff\u200b\u2028\u2029\x1b[31m\x07\x7f",
    "../../etc/passwd\\..\\",
]

SECRETS: set[str] = set()
"""Every token and ticket that was used."""


def secret(user: int | str | None = ATTACKER, **options: Any) -> str:
    SECRETS.add(made := token(user, **options))
    return made


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def handmade(header: Any, claims: Any, key: bytes = SECRET_KEY.encode()) -> str:
    """A token that is really signed with the key, whatever it says."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    made = f"{signed}.{encoded(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"
    SECRETS.add(made)
    return made


NOW = int(time.time())
GOOD = {"sub": str(ATTACKER), "iat": NOW, "exp": NOW + 3600}
HS256 = {"alg": "HS256", "typ": "JWT"}


def shake(path: str = PATH, **options: Any) -> Attack:
    """A handshake; the outcome is how it is refused."""

    async def attack(service: Service) -> Any:
        return (await refused(service.ws, path, **options)).reason

    return attack


def ask(method: str, path: str, **options: Any) -> Attack:
    """An HTTP request; the outcome is status and code of the problem."""

    async def attack(service: Service) -> Any:
        async with http_client(service.http) as http:
            answer = await http.request(method, path, **options)
        problem = answer.json()
        assert set(problem) == {"type", "code", "message"}, problem
        return answer.status_code, problem["code"]

    return attack


def letter(body: Any, value: str | None = None, **headers: str) -> Attack:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = bearer(value or secret(scope="letters:write")) | {"Content-Type": "application/json"} | headers
    return ask("POST", LETTERS, content=content, headers=sent)


def raw(*lines: str | bytes, method: str = "GET", path: str = PATH, without: str = "") -> Attack:
    """A handshake by hand, with more lines or `without` one; the outcome is the status, and the problem's code."""
    head = [
        f"{method} {path} HTTP/1.1",
        f"Host: {HOST}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Authorization: Bearer {secret()}",
    ]
    kept = [line.encode() for line in head if not without or not line.startswith(without)]
    added = [line if isinstance(line, bytes) else line.encode() for line in lines]
    return send(b"\r\n".join([*kept, *added, b"", b""]))


def send(data: bytes) -> Attack:
    """Bytes; the outcome is the status of the answer, with its code if it is a problem, or that there is none."""

    async def attack(service: Service) -> Any:
        reader, writer = await asyncio.open_connection(HOST, service.port)
        try:
            writer.write(data)
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                status = int(head.split()[1])
                lengths = [line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-len")]
                body = await reader.readexactly(int(lengths[0])) if lengths else b""
            return (status, json.loads(body)["code"]) if body.startswith(b"{") else status
        except (asyncio.IncompleteReadError, ConnectionError):
            return "dropped"
        finally:
            writer.transport.abort()

    return attack


def post(body: bytes) -> Attack:
    """A letter in one piece with its head."""
    head = f"POST {LETTERS} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {secret(scope='letters:write')}\r\n"
    return send(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def say(*messages: str | bytes, path: str = ENTRIES) -> Attack:
    """Messages on an open connection; the outcome is the code of each answer, or of the close."""

    async def attack(service: Service) -> Any:
        async with connected(service.ws, path, token=secret()) as client:
            codes: list[Any] = []
            for message in messages:
                await client.send_raw(message)
                if not isinstance(message, str) or len(message) > 65_536:
                    return (await client.ending()).code
                codes.append((await client.receive())["code"])
            await client.lives()
            return codes[0] if len(codes) == 1 else codes

    return attack


def frames(*data: bytes) -> Attack:
    """Frames made by hand; the outcome is the code of the close."""

    async def attack(service: Service) -> Any:
        async with RawClient.connected(service.port, PATH, secret()) as client:
            await client.send_what_goes(b"".join(data))
            return await client.close_code()

    return attack


def message(**fields: Any) -> str:
    return json.dumps({"type": "new_entry"} | fields)


async def flood(service: Service) -> set[str]:
    """More messages than may be; the outcome is what became of them."""
    async with connected(service.ws, "/ws/rooms/2", token=secret(FLOODER)) as client:
        for number in range(200):
            await client.send({"type": "new_entry", "body": str(number)})
        answers = await client.receive_many(200)
        await client.websocket.ping()
    stored = service.database.value("select count(*) from entries where author_id = %s", str(FLOODER))
    assert 40 <= stored < 100, stored
    return {str(answer.get("code", answer["type"])) for answer in answers}


async def hoard(service: Service) -> Any:
    """More connections than one user may have."""
    clients = [connected(service.ws, PATH, token=secret(HOARDER)) for _ in range(20)]
    try:
        for client in clients:
            await client.__aenter__()
        return (await refused(service.ws, PATH, token=secret(HOARDER))).reason
    finally:
        await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))


async def bad_in_a_row(service: Service) -> int:
    async with connected(service.ws, PATH, token=secret()) as client:
        for _ in range(10):
            await client.send_raw("nonsense")
        return (await client.ending()).code


async def replay_of_a_ticket(service: Service) -> Any:
    async with http_client(service.http) as http:
        ticket = (await http.post("/api/tickets", headers=bearer(secret()))).json()["ticket"]
    SECRETS.add(ticket)
    async with connected(service.ws, PATH, ticket=ticket) as client:
        await client.lives()
    return (await refused(service.ws, PATH, ticket=ticket)).reason


async def tokens_in_the_place_of_names(service: Service) -> list[str]:
    """The outcome is what is said of it; a token must not be repeated."""
    async with connected(service.ws, ENTRIES, token=secret()) as client:
        said = [json.dumps(await client.ask({"type": SIGNED})), json.dumps(await enter(client, "x", **{SIGNED: 1}))]
    async with http_client(service.http) as http:
        headers = bearer(secret(scope="letters:write"))
        said.append((await http.post(LETTERS, json={"user_id": 1, "data": {}, SIGNED: 1}, headers=headers)).text)
    assert not [answer for answer in said if SIGNED in answer]
    return [json.loads(answer)["code"] for answer in said]


async def another_users_renewal(service: Service) -> str:
    async with connected(service.ws, PATH, token=secret()) as client:
        answer = await client.ask({"type": "authenticate", "token": secret(VICTIM)})
        await client.lives()
        return str(answer["code"])


async def another_users_letters(service: Service) -> list[str]:
    """Every way to name somebody else; the outcome is what is shown."""
    claims: dict[str, Any] = {"user_id": VICTIM, "uid": VICTIM, "act": {"sub": str(VICTIM)}}
    query = f"after=0&user={VICTIM}&user_id={VICTIM}&sub={VICTIM}&token={secret(**claims)}"
    async with connected(service.ws, f"{PATH}?{query}") as client:
        messages = await client.receive_until("caught_up")
        await client.send({"type": "ack", "seq": 1})
        await client.lives()
    unread = service.database.value("select read_at is null from letters where user_id = %s", str(VICTIM))
    return [shown["type"] for shown in messages] + ["still unread"] * unread


NONE = ".".join([encoded({"alg": "none"}), encoded(GOOD), ""])
SIGNED = secret()
OTHER_KEY = "another key of more bytes than the longest of the HMAC algorithms asks for"
DEEP = b'{"user_id":1,"data":' + b'{"a":' * 255 + b"1" + b"}" * 256
"""As deep as may be read, and deeper than may be written."""

ATTACKS: dict[str, tuple[Attack, Any]] = {
    # Shapes of tokens
    "no token": (shake(), MISSING),
    "an empty token": (shake(token=""), MISSING),
    "another scheme": (shake(headers={"Authorization": "Basic YWRtaW46YWRtaW4="}), MISSING),
    "one word": (shake(token="admin"), INVALID),
    "only dots": (shake(token=".."), INVALID),
    "four parts": (shake(token=SIGNED + ".x"), INVALID),
    "not base64": (shake(token="é.é.é"), INVALID),
    "a newline in the token": (shake(token=SIGNED.replace(".", "\n.", 1)), INVALID),
    "a NUL in the token": (shake(token=SIGNED + "\0"), INVALID),
    "a header that is a list": (shake(token=handmade([HS256], GOOD)), INVALID),
    "a header that is not JSON": (shake(token=handmade(b"{", GOOD)), INVALID),
    "claims that are a list": (shake(token=handmade(HS256, [GOOD])), INVALID),
    "claims that are not JSON": (shake(token=handmade(HS256, b"\xff\xfe")), INVALID),
    "claims nested a thousand deep": (shake(token=handmade(HS256, b"[" * 1000 + b"]" * 1000)), INVALID),
    "a token of 9,000 bytes": (
        ask("POST", "/api/tickets", headers=bearer(handmade(HS256, GOOD | {"x": "y" * 6500}))),
        (401, "invalid_token"),
    ),
    "a cut signature": (shake(token=SIGNED[:-4]), INVALID),
    "no signature": (shake(token=SIGNED.rpartition(".")[0] + "."), INVALID),
    "claims of another token": (
        shake(token=".".join([SIGNED.split(".")[0], encoded(GOOD | {"sub": "1"}), SIGNED.split(".")[2]])),
        INVALID,
    ),
    # Algorithms and keys
    "alg none": (shake(token=NONE), INVALID),
    "alg None": (shake(token=NONE.replace(encoded({"alg": "none"}), encoded({"alg": "None"}))), INVALID),
    "alg none, signed": (shake(token=handmade({"alg": "none"}, GOOD)), INVALID),
    "alg hs256": (shake(token=handmade({"alg": "hs256"}, GOOD)), INVALID),
    "alg HS512": (shake(token=secret(algorithm="HS512")), INVALID),
    "alg RS256, signed by HMAC": (shake(token=handmade({"alg": "RS256"}, GOOD)), INVALID),
    "alg is a list": (shake(token=handmade({"alg": ["HS256"]}, GOOD)), INVALID),
    "no alg": (shake(token=handmade({"typ": "JWT"}, GOOD)), INVALID),
    "another key": (shake(token=secret(key=OTHER_KEY)), INVALID),
    "an empty key": (shake(token=handmade(HS256, GOOD, b"")), INVALID),
    "a key that the token brings": (
        shake(token=handmade(HS256 | {"jwk": {"kty": "oct", "k": encoded(b"k" * 32)}}, GOOD, b"k" * 32)),
        INVALID,
    ),
    "a key from an address": (
        shake(token=handmade(HS256 | {"jku": "http://127.0.0.1:1/keys", "kid": "x"}, GOOD, b"k" * 32)),
        INVALID,
    ),
    "a kid that is a path": (shake(token=handmade(HS256 | {"kid": "../../dev/null"}, GOOD, b"")), INVALID),
    "a critical extension": (shake(token=handmade(HS256 | {"crit": ["b64"], "b64": False}, GOOD)), INVALID),
    # Claims
    "no exp": (shake(token=secret(ttl=None)), INVALID),
    "exp is null": (shake(token=secret(exp=None)), INVALID),
    "exp is a text": (shake(token=secret(exp="never")), INVALID),
    "exp is NaN": (shake(token=handmade(HS256, GOOD | {"exp": float("nan")})), INVALID),
    "exp is infinite": (shake(token=handmade(HS256, GOOD | {"exp": float("inf")})), INVALID),
    "exp beyond all calendars": (shake(token=secret(exp=10**30)), INVALID),
    "exp in the past": (shake(token=secret(ttl=-1)), (401, "expired_token", 1008)),
    "exp below zero": (shake(token=secret(exp=-1)), (401, "expired_token", 1008)),
    "nbf in the future": (shake(token=secret(nbf=NOW + 3600)), INVALID),
    "iat in the future": (shake(token=secret(iat=NOW + 3600)), INVALID),
    "iat is a text": (shake(token=secret(iat="now")), INVALID),
    "no sub": (shake(token=secret(None)), INVALID),
    "sub is null": (shake(token=secret(None, sub=None)), INVALID),
    "sub is true": (shake(token=secret(None, sub=True)), INVALID),
    "sub is a fraction": (shake(token=secret(None, sub=1.5)), INVALID),
    "sub is negative": (shake(token=secret(-1)), INVALID),
    "sub is a list": (shake(token=secret(None, sub=[1, 2])), INVALID),
    "sub is SQL": (shake(token=secret("1 or 1=1")), INVALID),
    "sub with a newline": (shake(token=secret(f"1\n{FORGED}")), INVALID),
    "sub with a newline at its end": (shake(token=secret("1\n")), INVALID),
    "sub in full-width digits": (shake(token=secret("\uff11")), INVALID),
    # Where a token is
    "a bad header before a good query": (shake(headers=bearer("bad"), token=SIGNED), INVALID),
    "a bad subprotocol before a good query": (shake(subprotocols=["live.v1", "bearer.bad"], token=SIGNED), INVALID),
    "a bad header before a good subprotocol": (
        shake(headers=bearer("bad"), subprotocols=["live.v1", f"bearer.{SIGNED}"]),
        INVALID,
    ),
    "two headers, the first bad": (
        raw("Authorization: Bearer bad", f"Authorization: Bearer {SIGNED}", without="Authorization"),
        (401, "invalid_token"),
    ),
    "two headers, the first good": (raw("Authorization: Bearer bad"), (401, "invalid_token")),
    "two tokens in the subprotocols": (
        shake(subprotocols=["live.v1", f"bearer.{SIGNED}", "bearer.bad"]),
        INVALID,
    ),
    "two tokens in the query": (shake(f"{PATH}?token={SIGNED}&token={SIGNED}"), INVALID),
    "a good token before an empty one": (shake(f"{PATH}?token={SIGNED}&token="), INVALID),
    "two tickets": (shake(f"{PATH}?ticket=a&ticket=b"), INVALID),
    "two headers for HTTP": (
        ask("POST", "/api/tickets", headers=[("Authorization", f"Bearer {SIGNED}"), ("Authorization", "Bearer bad")]),
        (401, "invalid_token"),
    ),
    "a token in a cookie": (raw(f"Cookie: token={SIGNED}", without="Authorization"), (401, "missing_token")),
    "a token for HTTP in the query": (ask("POST", "/api/tickets", params={"token": SIGNED}), (401, "missing_token")),
    "a ticket that nobody issued": (shake(ticket="0" * 43), (401, "invalid_ticket", 1008)),
    "a ticket of SQL": (shake(ticket="' or true; --"), (401, "invalid_ticket", 1008)),
    "a token as a ticket": (shake(ticket=SIGNED), (401, "invalid_ticket", 1008)),
    "a ticket again": (replay_of_a_ticket, (401, "invalid_ticket", 1008)),
    # Origins
    "another site": (shake(token=SIGNED, origin="https://evil.example"), FOREIGN),
    "another site without a token": (shake(origin="https://evil.example"), FOREIGN),
    "the null origin": (shake(token=SIGNED, origin="null"), FOREIGN),
    "an empty origin": (raw("Origin:"), (403, "forbidden_origin")),
    "our name at another port": (shake(token=SIGNED, origin=f"http://{HOST}:1"), FOREIGN),
    "our name before theirs": (shake(token=SIGNED, origin=f"http://{HOST}.evil.example"), FOREIGN),
    "our name as a user": (shake(token=SIGNED, origin=f"http://{HOST}@evil.example"), FOREIGN),
    "a file": (shake(token=SIGNED, origin="file://"), FOREIGN),
    "two hosts, one of them theirs": (
        raw("Host: evil.example", "Origin: http://evil.example"),
        (400, "bad_request"),
    ),
    "their host before ours": (
        raw("Host: evil.example", f"Host: {HOST}", "Origin: http://evil.example", without="Host"),
        (400, "bad_request"),
    ),
    "two origins": (raw(f"Origin: http://{HOST}", "Origin: https://evil.example"), (400, "invalid_handshake")),
    # Handshakes
    "no key": (raw(without="Sec-WebSocket-Key"), (400, "invalid_handshake")),
    "a short key": (raw("Sec-WebSocket-Key: eA==", without="Sec-WebSocket-Key"), (400, "invalid_handshake")),
    "two keys": (raw("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), (400, "invalid_handshake")),
    "no version": (raw(without="Sec-WebSocket-Version"), (400, "invalid_handshake")),
    "a version of old": (raw("Sec-WebSocket-Version: 8", without="Sec-WebSocket-Version"), (426, "invalid_handshake")),
    "a handshake by POST": (raw(method="POST"), (405, "invalid_handshake")),
    "a header of 70,000 bytes": (raw("X: " + "x" * 70_000), TOO_LARGE),
    "10,000 headers": (raw(*(f"X-{number}: x" for number in range(10_000))), TOO_LARGE),
    "a path of 70,000 bytes": (raw(path="/ws/" + "x" * 70_000), (414, mock.ANY)),
    "a head without an end": (send(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000), TOO_LARGE),
    "another protocol": (raw("Upgrade: h2c", without="Upgrade"), (426, "upgrade_required")),
    "a NUL in a header": (raw(b"X: a\0b"), BAD_REQUEST),
    "a folded header": (raw("X: a", " b"), BAD_REQUEST),
    "TLS on a plain port": (send(bytes.fromhex("16030100c8010000c40303")), BAD_REQUEST),
    "HTTP/2 with prior knowledge": (send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), BAD_REQUEST),
    "two lengths": (
        send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        BAD_REQUEST,
    ),
    "a length and chunks": (
        send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        BAD_REQUEST,
    ),
    # Paths
    "a path out and in again": (raw(path="/ws/../ws/letters"), (404, "not_found")),
    "two slashes": (raw(path="//ws/letters"), (404, "not_found")),
    "a slash at the end": (shake(f"{PATH}/", token=SIGNED), NOT_FOUND),
    "capitals": (shake("/WS/Letters", token=SIGNED), NOT_FOUND),
    "a NUL at the end": (shake(f"{PATH}%00", token=SIGNED), NOT_FOUND),
    "a parameter of the path": (shake(f"{PATH};user={VICTIM}", token=SIGNED), NOT_FOUND),
    "an address as the path": (raw(path="http://evil.example/ws/letters", without="Authorization"), (401, mock.ANY)),
    "an address as the path, that is not where the page is from": (
        raw(f"Origin: http://{HOST}", path="http://evil.example/ws/letters"),
        (403, "forbidden_origin"),
    ),
    "another user as the path": (shake(f"{PATH}/{VICTIM}", token=SIGNED), NOT_FOUND),
    "the demo in production": (shake("/ws/echo"), NOT_FOUND),
    "a room of SQL": (shake("/ws/rooms/1%20or%201=1", token=SIGNED), (422, "invalid_request", 1008)),
    "a room beyond 64 bits": (shake(f"/ws/rooms/{2**64}", token=SIGNED), (422, "invalid_request", 1008)),
    "a room with a newline": (shake("/ws/rooms/1%0Ax", token=SIGNED), (422, "invalid_request", 1008)),
    "a room with a newline at its end": (shake("/ws/rooms/1%0A", token=SIGNED), NOT_FOUND),
    "a newline at the end": (shake(f"{PATH}%0A", token=SIGNED), NOT_FOUND),
    "a newline at the end, over HTTP": (ask("GET", "/metrics%0A"), (404, "not_found")),
    "a room with white space": (shake("/ws/rooms/%201", token=SIGNED), (422, "invalid_request", 1008)),
    "a room with a sign": (shake("/ws/rooms/+1", token=SIGNED), (422, "invalid_request", 1008)),
    "a room with an underscore": (shake("/ws/rooms/1_0", token=SIGNED), (422, "invalid_request", 1008)),
    "a room that is nearly whole": (shake("/ws/rooms/1.0", token=SIGNED), (422, "invalid_request", 1008)),
    "a room with a newline, over HTTP": (
        ask("GET", "/api/rooms/1%0A/entries", headers=bearer(SIGNED)),
        (422, "invalid_request"),
    ),
    "a position with white space": (shake(PATH, token=SIGNED, after="0 "), (422, "invalid_request", 1008)),
    "a position of SQL": (shake(PATH, token=SIGNED, after="0; select 1"), (422, "invalid_request", 1008)),
    "a room that is a path": (shake("/ws/rooms/..%2F..%2Fetc", token=SIGNED), NOT_FOUND),
    "the settings": (ask("GET", "/.env"), (404, "not_found")),
    "the code": (send(b"GET /client.js/../../settings.py HTTP/1.1\r\nHost: x\r\n\r\n"), (404, "not_found")),
    "the code, encoded": (ask("GET", "/%2e%2e%2fsettings.py"), (404, "not_found")),
    # Scopes
    "a letter without the scope": (letter({"user_id": 1, "data": {}}, secret()), (403, "insufficient_scope")),
    "another scope": (
        letter({"user_id": 1, "data": {}}, secret(scope="connections:write")),
        (403, "insufficient_scope"),
    ),
    "nearly the scope": (
        letter({"user_id": 1, "data": {}}, secret(scope="letters:write:all Letters:Write")),
        (403, "insufficient_scope"),
    ),
    "every scope": (letter({"user_id": 1, "data": {}}, secret(scope="* admin")), (403, "insufficient_scope")),
    "a scope that is an object": (
        letter({"user_id": 1, "data": {}}, handmade(HS256, GOOD | {"scope": {"letters:write": 1}})),
        (403, "insufficient_scope"),
    ),
    "disconnecting without the scope": (
        ask("POST", f"/api/users/{VICTIM}/disconnect", headers=bearer(secret(scope="letters:write"))),
        (403, "insufficient_scope"),
    ),
    "disconnecting by SQL": (
        ask("POST", "/api/users/1%20or%201=1/disconnect", headers=bearer(secret(scope="connections:write"))),
        (422, "invalid_request"),
    ),
    "disconnecting a path": (
        ask("POST", "/api/users/..%2F..%2Fapi%2Ftickets/disconnect", headers=bearer(secret(scope="connections:write"))),
        (422, "invalid_request"),
    ),
    "disconnecting everybody": (
        ask("POST", "/api/users//disconnect", headers=bearer(secret(scope="connections:write"))),
        (404, "not_found"),
    ),
    "disconnecting a line of the log": (
        ask("POST", "/api/users/1%0A%7B%22event%22:%22forged%22%7D/disconnect", headers=bearer(SIGNED)),
        (403, "insufficient_scope"),
    ),
    "tokens as names": (tokens_in_the_place_of_names, ["invalid_message", "invalid_message", "invalid_request"]),
    # Other users
    "another user's letters": (another_users_letters, ["caught_up", "still unread"]),
    "another user's token": (another_users_renewal, "invalid_token"),
    "another club": (shake("/ws/clubs/1", token=SIGNED, after=0), (403, "forbidden", 1008)),
    "another club, over HTTP": (ask("GET", "/api/clubs/1/announcements", headers=bearer(SIGNED)), (403, "forbidden")),
    "a claim that is no list": (shake("/ws/clubs/1", token=secret(clubs="1,2")), (403, "forbidden", 1008)),
    "an entry in another's name": (say(message(body="x", author_id=VICTIM)), "invalid_message"),
    "an entry with a number of one's own": (say(message(body="x", seq=1, entry_id=1)), "invalid_message"),
    # Bodies
    "a list of 65,537 bytes, which may not": (post(b"[" + b" " * 65_535 + b"]"), (413, mock.ANY)),
    "a list of 65,536 bytes, which may be": (post(b"[" + b" " * 65_534 + b"]"), (422, "invalid_request")),
    "a body that is not JSON": (letter(b"{"), (422, "invalid_json")),
    "a body that is not UTF-8": (letter(b'{"user_id":1,"data":{"\xff":1}}'), (422, "invalid_json")),
    "a body nested 30,000 deep": (letter(b"[" * 30_000), (422, "invalid_json")),
    "a number of 5,000 digits": (
        letter(b'{"user_id":1,"data":{"a":' + b"9" * 5000 + b"}}"),
        (422, "invalid_json"),
    ),
    "a body of another type": (
        letter(b'{"user_id":1,"data":{}}', **{"Content-Type": "text/plain"}),
        (422, "invalid_request"),
    ),
    "a field too many": (letter({"user_id": 1, "data": {}, "seq": 1}), (422, "invalid_request")),
    "a user who is true": (letter({"user_id": True, "data": {}}), (422, "invalid_request")),
    "a user of SQL": (letter({"user_id": "1 or 1=1", "data": {}}), (422, "invalid_request")),
    "a NUL": (letter({"user_id": 1, "data": {"a": ["\0"]}}), (422, "invalid_request")),
    "half a character": (letter(b'{"user_id":1,"data":{"a":"\\ud800"}}'), (422, "invalid_request")),
    "half a character as a key": (letter(b'{"user_id":1,"data":{"\\ud800":1}}'), (422, "invalid_request")),
    "data nested 256 deep": (letter(DEEP), (422, "invalid_request")),
    "an infinite number": (letter(b'{"user_id":1,"data":{"a":1e999}}'), (422, "invalid_request")),
    "a method too many": (ask("DELETE", LETTERS, headers=bearer(SIGNED)), (405, "method_not_allowed")),
    "a method that asks whether it may": (
        ask("OPTIONS", LETTERS, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}),
        (405, "method_not_allowed"),
    ),
    # Messages
    "a message that is not JSON": (say("nonsense"), "invalid_json"),
    "a message nested deep": (say("[" * 30_000), "invalid_json"),
    "a message of no type": (say('{"type":"__class__"}'), "invalid_message"),
    "an entry of nothing": (say(message(body="")), "invalid_message"),
    "an entry of 4,001 characters": (say(message(body="x" * 4001)), "invalid_message"),
    "a client_id that is a newline and more": (say(message(body=[], client_id=FORGED)), "invalid_message"),
    "a type that is a line of the log": (say(json.dumps({"type": FORGED})), "invalid_message"),
    "a token that is a line of the log": (say(json.dumps({"type": "authenticate", "token": FORGED})), "invalid_token"),
    "a binary message": (say(b"{}"), 1003),
    "a message of 70,000 bytes": (say("x" * 70_000), 1009),
    # Frames
    "a frame without a mask": (frames(frame(TEXT, b"{}", masked=False)), 1002),
    "a reserved bit": (frames(frame(TEXT, b"{}", reserved=4)), 1002),
    "a reserved opcode": (frames(frame(3, b"{}")), 1002),
    "a ping in pieces": (frames(frame(PING, b"", final=False)), 1002),
    "a ping of 126 bytes": (frames(frame(PING, b"x" * 126)), 1002),
    "a piece of nothing": (frames(frame(0, b"x")), 1002),
    "a close code that is none": (frames(frame(CLOSE, b"\x00\x01")), 1002),
    "text that is not UTF-8": (frames(frame(TEXT, b"\xff\xfe")), 1007),
    "a frame of 2 GiB": (frames(b"\x82\xff" + (2**31).to_bytes(8, "big") + b"mask"), 1009),
    "pieces of 70,000 bytes": (
        frames(frame(BINARY, b"x" * 35_000, final=False), frame(0, b"x" * 35_000)),
        1009,
    ),
    # Floods
    "200 messages at once": (flood, {"entry_created", "rate_limited"}),
    "21 connections": (hoard, (429, "too_many_connections", 1013)),
    "ten bad messages": (bad_in_a_row, 1008),
}


@dataclass
class Aftermath:
    """What the service said and wrote while it was under attack."""

    outcomes: dict[str, Any]
    stored: dict[str, list[str]]
    """The hostile texts as they came back, by the way they came."""
    texts: dict[str, str]
    """What anybody may read, by its path."""
    answers: dict[str, httpx.Response]
    serves: bool
    database: str
    exit_code: int
    log: str

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]


@pytest.fixture(scope="module")
def aftermath(postgres: Address) -> Aftermath:
    """All attacks on one service, several at a time, and then its end."""
    service = Service(postgres.create_database(), {"DEMO_ENDPOINTS": "", "RATE_LIMIT": "20", "LOG_LEVEL": "DEBUG"})
    try:
        found = asyncio.run(be_attacked(service))
        service.terminate()
        found.exit_code = service.wait()
        found.log = service.log()
        return found
    finally:
        service.discard()


async def be_attacked(service: Service) -> Aftermath:
    await post_letter(service, VICTIM, {"for": "nobody else"})
    limit = asyncio.Semaphore(AT_ONCE)

    async def outcome(attack: Attack) -> Any:
        async with limit:
            try:
                return await attack(service)
            except Exception as error:
                return error

    async with connected(service.ws, ENTRIES, token=secret(WRITER)) as witness:
        outcomes = await asyncio.gather(*(outcome(attack) for attack, _ in ATTACKS.values()))
        await witness.lives()
        serves = (await enter(witness, "still here"))["type"] == "entry_created"
    stored = await hostile_texts(service)
    async with http_client(service.http) as http:
        public = [
            "/healthz",
            "/readyz",
            "/metrics",
            "/docs",
            "/openapi.json",
            "/asyncapi.json",
            "/asyncapi",
            "/client.js",
        ]
        answers = {path: await http.get(path) for path in public}
        texts = {path: answer.text for path, answer in answers.items()}
        good, writer = bearer(secret()), bearer(secret(scope="letters:write"))
        foreign = good | {"Origin": "https://evil.example"}
        answers |= {
            "200": await http.get("/api/rooms/1/entries", headers=foreign),
            "200 ticket": await http.post("/api/tickets", headers=good),
            "401": await http.get("/api/rooms/1/entries", headers={"Origin": "https://evil.example"}),
            "403": await http.post(LETTERS, json={"user_id": 1, "data": {}}, headers=good),
            "404": await http.get("/nothing"),
            "405": await http.delete("/healthz"),
            "413": await http.post(LETTERS, content=b"x" * 65_537, headers=writer),
            "422": await http.get("/api/rooms/x/entries", headers=good),
        }
    SECRETS.add(answers["200 ticket"].json()["ticket"])
    await eventually(lambda: service.open_sockets() == 0, "all connections are over")
    return Aftermath(
        outcomes=dict(zip(ATTACKS, outcomes, strict=True)),
        stored=stored,
        texts=texts,
        answers=answers,
        serves=serves,
        database=service.database.url,
        exit_code=-1,
        log="",
    )


async def post_letter(service: Service, user: int, data: dict[str, Any]) -> None:
    async with http_client(service.http) as http:
        headers = bearer(secret(1, scope="letters:write"))
        answer = await http.post(LETTERS, json={"user_id": user, "data": data}, headers=headers)
    assert answer.status_code == 201, answer.text


async def hostile_texts(service: Service) -> dict[str, list[str]]:
    """Store them as entries and as letters, and see them come back."""
    path = "/ws/rooms/3"
    async with (
        connected(service.ws, path, token=secret(WRITER)) as writer,
        connected(service.ws, path, token=secret(READER)) as reader,
        connected(service.ws, PATH, token=secret(READER)) as notified,
        http_client(service.http) as http,
    ):
        for number, text in enumerate(HOSTILE_TEXTS):
            await enter(writer, text, client_id=f"{text[:100]}{number}")
            await post_letter(service, READER, {text: [text]})
        live, pushed = [await shown(client) for client in (reader, notified)]
        page = (await http.get("/api/rooms/3/entries", headers=bearer(secret(READER)))).json()
        async with connected(service.ws, path, token=secret(READER), after=0) as later:
            replayed = await shown(later)
    return {
        "live": [entry["body"] for entry in live],
        "replayed": [entry["body"] for entry in replayed],
        "over HTTP": [entry["body"] for entry in page["entries"]],
        "as a letter": [letter["data"][text][0] for text, letter in zip(HOSTILE_TEXTS, pushed, strict=True)],
    }


async def shown(client: Client) -> list[dict[str, Any]]:
    return await client.receive_many(len(HOSTILE_TEXTS))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_exactly_this_answer(aftermath: Aftermath, name: str) -> None:
    _, expected = ATTACKS[name]
    assert aftermath.outcomes[name] == expected


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 60


def test_afterwards_the_service_serves_and_ends_as_ever(aftermath: Aftermath) -> None:
    assert aftermath.serves
    assert aftermath.exit_code == 0


@pytest.mark.parametrize("way", ["live", "replayed", "over HTTP", "as a letter"])
def test_hostile_texts_are_stored_and_returned_as_they_are(aftermath: Aftermath, way: str) -> None:
    assert aftermath.stored[way] == HOSTILE_TEXTS


def test_the_log_is_one_json_object_per_line_and_none_is_forged(aftermath: Aftermath) -> None:
    lines = aftermath.lines()
    assert len(lines) > len(ATTACKS)
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    assert not [line for line in lines if line["event"] == "forged"]


def test_the_log_knows_of_no_bug(aftermath: Aftermath) -> None:
    assert [line for line in aftermath.lines() if line["level"] in {"error", "critical"} or "exception" in line] == []


def test_the_log_holds_no_token_and_no_ticket(aftermath: Aftermath) -> None:
    for value in SECRETS:
        assert value not in aftermath.log
        signature = value.rpartition(".")[2]
        assert len(signature) < 20 or signature not in aftermath.log
    assert "eyJ" not in aftermath.log


def test_the_log_does_not_hold_what_was_said(aftermath: Aftermath) -> None:
    for text in HOSTILE_TEXTS:
        assert json.dumps(text)[1:-1] not in aftermath.log


def test_what_anybody_may_read_holds_no_secret(aftermath: Aftermath) -> None:
    everything = [
        *aftermath.texts.values(),
        *(answer.text for name, answer in aftermath.answers.items() if name > "400"),
    ]
    for text in (*everything, aftermath.log):
        assert SECRET_KEY not in text
        assert aftermath.database not in text
    for text in everything:
        assert SECRETS.isdisjoint(text.split('"'))
        assert str(VICTIM) not in text, "nor who is there"


def test_every_answer_has_the_headers_that_browsers_obey(aftermath: Aftermath) -> None:
    for name, answer in aftermath.answers.items():
        assert {key: answer.headers.get(key) for key in HEADERS} == HEADERS, name
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'"), name
        assert "frame-ancestors 'none'" in policy, name
        assert "unsafe" not in policy, name
        assert "server" not in answer.headers, "nobody needs to know what we run on"


def test_no_page_of_another_site_may_read_an_answer(aftermath: Aftermath) -> None:
    for name, answer in aftermath.answers.items():
        assert not [key for key in answer.headers if key.startswith("access-control-")], name


@pytest.mark.parametrize("status", ["401", "403", "404", "405", "413", "422"])
def test_a_problem_has_one_form(aftermath: Aftermath, status: str) -> None:
    answer = aftermath.answers[status]
    assert answer.status_code == int(status)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"type": "error"} | {key: answer.json()[key] for key in ("code", "message")}
    assert answer.json()["code"]
    assert answer.json()["message"]


def test_settings_do_not_show_their_secrets() -> None:
    settings = Settings(
        secret_key=SecretStr(SECRET_KEY),
        database_url=SecretStr("postgresql://user:hidden-password@db/name"),
        valkey_url=SecretStr("redis://:hidden-password@cache:6379"),
    )
    for text in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
        assert SECRET_KEY not in text
        assert "hidden-password" not in text
