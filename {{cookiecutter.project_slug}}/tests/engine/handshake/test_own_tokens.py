"""What counts as a plain token of our own keys: nothing that PyJWT would refuse, and the same claims."""

import base64
import hmac
import json
import random
import time
from typing import Any

import jwt
import pytest

from service.engine.auth.own_tokens import plain_claims, signer

KEYS = [b"the key that signs, of thirty-two bytes or more", b"the one before it, of thirty-two bytes or more"]
SIGNERS = [signer(key) for key in KEYS]
LEEWAY = 5
NOW = int(time.time())
CLAIMS: dict[str, Any] = {"sub": "7", "iat": NOW, "exp": NOW + 86_400, "scope": "a b", "tenant": {"name": "é"}}


def part(content: Any) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def signed(head: Any, claims: Any, key: bytes = KEYS[0], hash_name: str = "sha256") -> str:
    """A token of anything, well signed."""
    content = (head if isinstance(head, bytes) else part(head)) + b"." + part(claims)
    return (content + b"." + part(hmac.digest(key, content, hash_name))).decode()


USUAL = {"alg": "HS256", "typ": "JWT"}
PLAIN = {
    "PyJWT": jwt.encode(CLAIMS, KEYS[0].decode(), algorithm="HS256"),
    "the key before": signed(USUAL, CLAIMS, KEYS[1]),
    "the head the other way round": signed({"typ": "JWT", "alg": "HS256"}, CLAIMS),
    "sub and exp alone": signed(USUAL, {"sub": 7, "exp": NOW + 86_400}),
    "from a clock ahead": signed(USUAL, {**CLAIMS, "iat": NOW + 3, "nbf": NOW + 3}),
    "an identity of its own": signed(USUAL, {**CLAIMS, "jti": "x"}),
    "blanks in the claims": signed(USUAL, json.dumps(CLAIMS, indent=2).encode()),
}
GOOD = PLAIN["PyJWT"]
HEAD, PAYLOAD, SIGNATURE = GOOD.split(".")
FOR_PYJWT = {
    "nothing": "",
    "dots": "...",
    "no signature": f"{HEAD}.{PAYLOAD}.",
    "no dots": GOOD.replace(".", ""),
    "another key": signed(USUAL, CLAIMS, b"a key that never was one of ours, of enough bytes"),
    "another hash": signed({"alg": "HS512", "typ": "JWT"}, CLAIMS, hash_name="sha512"),
    "another hash, and the usual head": signed(USUAL, CLAIMS, hash_name="sha512"),
    "no algorithm": signed({"alg": "none", "typ": "JWT"}, CLAIMS),
    "something critical": signed({**USUAL, "crit": ["x"], "x": 1}, CLAIMS),
    "a key's name": signed({**USUAL, "kid": "1"}, CLAIMS),
    "a head with padding": signed(part(USUAL) + b"=", CLAIMS),
    "padding": GOOD + "=",
    "another way to write the signature": GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
    "what is no text": f"{HEAD}.{PAYLOAD}é.{SIGNATURE}",
    "no JSON": signed(USUAL, b"sub=7"),
    "UTF-16": signed(USUAL, json.dumps(CLAIMS).encode("utf-16")),
    "a list": signed(USUAL, [CLAIMS]),
    "far too deep": signed(USUAL, b'{"sub":"7","exp":' + b"[" * 100_000),
    "a number too long": signed(USUAL, b'{"sub":"7","exp":' + b"9" * 5000 + b"}"),
    "expired": signed(USUAL, {**CLAIMS, "exp": NOW - 1}),
    "expired within the leeway": signed(USUAL, {**CLAIMS, "exp": NOW - 3}),
    "no end": signed(USUAL, {"sub": "7"}),
    "an end in words": signed(USUAL, {**CLAIMS, "exp": str(NOW + 86_400)}),
    "an end with a fraction": signed(USUAL, {**CLAIMS, "exp": NOW + 86_400.5}),
    "true": signed(USUAL, {**CLAIMS, "exp": True}),
    "nobody": signed(USUAL, {**CLAIMS, "sub": None}),
    "not yet": signed(USUAL, {**CLAIMS, "nbf": NOW + 86_400}),
    "from the future": signed(USUAL, {**CLAIMS, "iat": NOW + 86_400}),
    "written at no time": signed(USUAL, {**CLAIMS, "iat": None}),
    "an identity that is a number": signed(USUAL, {**CLAIMS, "jti": 1}),
}


def by_pyjwt(token: str) -> dict[str, Any] | None:
    for key in KEYS:
        try:
            return jwt.decode(
                token, key.decode(), ["HS256"],
                {"require": ["exp", "sub"], "verify_sub": False, "verify_aud": False}, leeway=LEEWAY,
            )  # fmt: skip
        except jwt.PyJWTError:
            continue
    return None


@pytest.mark.parametrize("token", PLAIN.values(), ids=PLAIN.keys())
def test_what_nearly_everybody_writes_is_plain(token: str) -> None:
    claims = plain_claims(token, SIGNERS, LEEWAY)
    assert claims is not None
    assert claims == by_pyjwt(token)


@pytest.mark.parametrize("token", FOR_PYJWT.values(), ids=FOR_PYJWT.keys())
def test_whatever_is_not_plainly_good_is_left_to_pyjwt(token: str) -> None:
    assert plain_claims(token, SIGNERS, LEEWAY) is None


def test_no_key_verifies_nothing() -> None:
    assert plain_claims(GOOD, [], LEEWAY) is None


def test_no_change_of_a_good_token_is_plain() -> None:
    chance = random.Random(15)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ \n"
    for _ in range(5000):
        at, until = sorted(chance.choices(range(len(GOOD) + 1), k=2))
        changed = GOOD[:at] + "".join(chance.choices(alphabet, k=chance.randrange(3))) + GOOD[min(until, at + 2) :]
        if changed != GOOD:
            assert plain_claims(changed, SIGNERS, LEEWAY) is None


def test_whatever_claims_are_plain_are_those_that_pyjwt_reads() -> None:
    chance = random.Random(16)
    values: list[Any] = [
        None,
        True,
        0,
        -1,
        1.5,
        NOW,
        NOW + 3,
        NOW + 86_400,
        NOW - 60,
        2**70,
        1e300,
        "",
        "7",
        str(NOW + 86_400),
        [],
        {},
    ]
    plain = 0
    for _ in range(2000):
        names = chance.sample(["iat", "nbf", "jti", "iss", "aud", "scope"], k=chance.randrange(4))
        claims = {name: chance.choice(values) for name in ("sub", "exp", *names)}
        token = signed(chance.choice([USUAL, {"typ": "JWT", "alg": "HS256"}]), claims, chance.choice(KEYS))
        if (found := plain_claims(token, SIGNERS, LEEWAY)) is not None:
            assert found == by_pyjwt(token), claims
            plain += 1
    assert plain > 50
