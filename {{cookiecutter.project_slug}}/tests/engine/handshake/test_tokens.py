"""Which tokens open a connection, where they may be carried, and how each other one is refused."""

import base64
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.engine.kit.client import connected, refused
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.rooms import enter
from tests.engine.strict import NEW_KEY, OLD_KEY

PATHS = ["/ws/letters", "/ws/rooms/1"]


def unsigned(claims: dict[str, Any]) -> str:
    """A token of the algorithm `none`."""
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join([base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]) + "."


REFUSED = {
    "empty words": "a b",
    "no token at all": "nonsense",
    "three parts of nothing": "..",
    "not base64": "é.é.é",
    "very long": "x" * 6000,
    "another key": token(key="another key, of more bytes than any HMAC algorithm asks for: sixty-four"),
    "another algorithm of the same key": token(algorithm="HS512"),
    "RS256": token(key=rsa.generate_private_key(65537, 2048), algorithm="RS256"),
    "ES256": token(key=ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
    "unsigned": unsigned({"sub": "1", "exp": int(time.time()) + 60}),
    "signature cut off": token().rsplit(".", 1)[0] + ".",
    "no exp": token(ttl=None),
    "no sub": token(user=None),
    "exp is no number": token(ttl=None, exp="tomorrow"),
    "exp is infinite": token(ttl=None, exp=float("inf")),
    "not valid yet": token(nbf=int(time.time()) + 86_400),
    "sub is a name": token("alice"),
    "sub is empty": token(""),
    "sub is a fraction": token("1.5"),
    "sub has spaces": token(" 1 "),
    "sub has an underscore": token("1_0"),
    "sub in other digits": token("\N{ARABIC-INDIC DIGIT SEVEN}"),
    "sub beyond 64 bits": token("9" * 30),
    "sub beyond what Python parses": token("9" * 5000),
    "sub is a list": token(None, sub=["1"]),
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED.keys())
async def test_a_wrong_token_is_refused_before_the_handshake(service: Service, wrong: str) -> None:
    for path in PATHS:
        refusal = await refused(service.ws, path, token=wrong)
        assert refusal.reason == (401, "invalid_token", 1008)
        assert wrong not in json.dumps(refusal.problem)


async def test_an_expired_token_is_refused_as_expired(service: Service) -> None:
    for path in PATHS:
        refusal = await refused(service.ws, path, token=token(ttl=-1))
        assert refusal.reason == (401, "expired_token", 1008)


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}, {"Authorization": "Basic dXNlcjpwYXNz"}])
async def test_a_missing_token_is_refused_as_missing(service: Service, headers: dict[str, str]) -> None:
    for path in PATHS:
        refusal = await refused(service.ws, path, headers=headers)
        assert refusal.reason == (401, "missing_token", 1008)


async def test_a_refused_token_never_reaches_the_handler(service: Service, connect: Connect, room: int) -> None:
    before = service.database.value("select count(*) from entries")
    for wrong in (token(ttl=-1), token(ttl=None), "nonsense"):
        await refused(service.ws, f"/ws/rooms/{room}", token=wrong, after=0)
    assert service.database.value("select count(*) from entries") == before
    client = await connect(service, f"/ws/rooms/{room}", user=1)
    assert (await enter(client, "the first"))["seq"] == 1


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_token_may_come_in_the_authorization_header(service: Service, connect: Connect, scheme: str) -> None:
    client = await connect(service, PATHS[0], headers={"Authorization": f"{scheme} {token(1)}"})
    await client.lives()


async def test_a_token_may_come_in_the_query(service: Service, connect: Connect) -> None:
    client = await connect(service, PATHS[0], token=token(1))
    await client.lives()


@pytest.mark.parametrize("order", [1, -1])
async def test_a_token_may_come_as_a_subprotocol_that_is_never_echoed(
    service: Service, connect: Connect, order: int
) -> None:
    secret = token(1)
    client = await connect(service, PATHS[0], subprotocols=["live.v1", f"bearer.{secret}"][::order])
    assert client.websocket.subprotocol == "live.v1"
    assert client.websocket.response is not None
    assert secret not in str(client.websocket.response.headers)
    await client.lives()


async def test_the_protocol_is_selected_wherever_the_token_comes_from(service: Service, connect: Connect) -> None:
    client = await connect(service, PATHS[0], user=1, subprotocols=["other", "live.v1"])
    assert client.websocket.subprotocol == "live.v1"


async def test_a_subprotocol_nobody_offered_is_not_selected(service: Service, connect: Connect) -> None:
    client = await connect(service, PATHS[0], user=1)
    assert client.websocket.subprotocol is None


async def test_the_header_comes_before_the_subprotocol_and_the_subprotocol_before_the_query(service: Service) -> None:
    good, bad = token(1), token(1, ttl=-1)
    for first_bad in (
        {"headers": {"Authorization": f"Bearer {bad}"}, "subprotocols": ["live.v1", f"bearer.{good}"]},
        {"headers": {"Authorization": f"Bearer {bad}"}, "token": good},
        {"subprotocols": ["live.v1", f"bearer.{bad}"], "token": good},
    ):
        assert (await refused(service.ws, PATHS[0], **first_bad)).problem["code"] == "expired_token"
    for first_good in (
        {"headers": {"Authorization": f"Bearer {good}"}, "subprotocols": ["live.v1", f"bearer.{bad}"]},
        {"subprotocols": ["live.v1", f"bearer.{good}"], "token": bad},
    ):
        async with connected(service.ws, PATHS[0], **first_good) as client:
            await client.lives()


async def test_every_key_verifies_while_keys_are_rotated(strict: Service, user: int) -> None:
    for key in (NEW_KEY, OLD_KEY):
        async with connected(strict.ws, PATHS[0], token=token(user, key=key)) as client:
            await client.lives()
    for key in (f"{NEW_KEY},{OLD_KEY}", "a key that was never in use anywhere, of more than enough bytes"):
        refusal = await refused(strict.ws, PATHS[0], token=token(user, key=key))
        assert refusal.reason == (401, "invalid_token", 1008)
