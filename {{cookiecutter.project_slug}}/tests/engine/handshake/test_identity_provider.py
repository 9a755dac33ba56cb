"""Tokens of an identity provider: its keys are fetched from a real server, and kept while that server is away."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr
from structlog.testing import capture_logs

from service.engine.auth import jwks, key_server
from service.engine.auth.revocations import Revocations
from service.engine.auth.tokens import Tokens
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Problem
from service.engine.foundation.settings import Settings, SubjectType
from service.engine.storage.database import Database as Pool
from tests.engine.kit.client import connected, refused
from tests.engine.kit.commands import SECRET_KEY
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address
from tests.engine.kit.running import HOST, Service, free_port
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

PATH = "/ws/letters"
ISSUER, AUDIENCE = "https://issuer.example", "live-service"
PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
STRANGER = ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, algorithm: str, **fields: Any) -> dict[str, Any]:
    """The public half of a key, as a provider shows it."""
    public: dict[str, Any] = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
    return public | {"kid": algorithm, "alg": algorithm, "use": "sig"} | fields


def public_set() -> list[Any]:
    return [jwk(key, algorithm) for algorithm, key in PRIVATE.items()]


class Provider:
    """The keys of an identity provider, on a server that can be stopped and counts who asks."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}/keys"
        self.document: Any = {"keys": public_set()}
        self.status = 200
        self.asked = 0
        self.redirects: str | None = None
        self.pause = 0.0
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                document = provider.document
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                redirects = provider.redirects if not self.path.endswith("/moved") else None
                self.send_response(302 if redirects else provider.status)
                if redirects:
                    self.send_header("Location", redirects)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for part in (body[:100], body[100:200], body[200:]) if provider.pause else (body,):
                    self.wfile.write(part)
                    threading.Event().wait(provider.pause)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing to say."""

        self._server = ThreadingHTTPServer((HOST, self.port), Handler)
        threading.Thread(target=partial(self._server.serve_forever, poll_interval=0.01), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def signed(algorithm: str, user: int | str | None = 1, **options: Any) -> str:
    """A token of the provider; `kid=None` leaves it out."""
    options = {"iss": ISSUER, "aud": AUDIENCE, "kid": algorithm, "key": PRIVATE.get(algorithm)} | options
    claims = {"sub": str(user), "exp": int(time.time()) + 3600, "iat": int(time.time())}
    headers = {"kid": kid} if (kid := options.pop("kid")) is not None else {}
    key = options.pop("key")
    given = {name: value for name, value in (claims | options).items() if value is not None}
    return jwt.encode(given, key, algorithm=algorithm, headers=headers)


def forged_with_public_key(form: bytes) -> str:
    """The classic confusion: HS256, its key what everybody knows. PyJWT refuses to make it, so it is made by hand."""
    claims = {"sub": "1", "exp": int(time.time()) + 3600, "iss": ISSUER, "aud": AUDIENCE}
    header = {"alg": "HS256", "typ": "JWT", "kid": "RS256"}
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    text = b".".join(encoded)
    signature = base64.urlsafe_b64encode(hmac.new(form, text, hashlib.sha256).digest()).rstrip(b"=")
    return b".".join([text, signature]).decode()


RSA_PUBLIC = PRIVATE["RS256"].public_key()
PEM = RSA_PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
UNSIGNED = jwt.encode({"sub": "1", "exp": 2**33, "iss": ISSUER, "aud": AUDIENCE}, "", algorithm="none")

REFUSED: dict[str, tuple[str, str]] = {
    "another key": (signed("ES256", key=STRANGER), "signature"),
    "a kid of another key": (signed("ES256", key=STRANGER, kid="RS256"), ""),
    "an algorithm of another key": (signed("ES256", kid="RS256"), ""),
    "an unknown kid": (signed("ES256", kid="unknown"), ""),
    "a kid that is no text": (
        jwt.encode({"sub": "1", "exp": 2**33}, PRIVATE["EdDSA"], "EdDSA", headers={"kid": "7"}),
        "",
    ),
    "no issuer": (signed("RS256", iss=None), "iss"),
    "another issuer": (signed("RS256", iss="https://evil.example"), "iss"),
    "an issuer that begins alike": (signed("RS256", iss=ISSUER + ".evil.example"), "iss"),
    "no audience": (signed("RS256", aud=None), "aud"),
    "another audience": (signed("RS256", aud="another service"), "aud"),
    "other audiences": (signed("RS256", aud=["a", "b"]), "aud"),
    "PS256": (signed("PS256", key=PRIVATE["RS256"], kid="RS256"), "algorithm"),
    "RS512": (signed("RS512", key=PRIVATE["RS256"], kid="RS256"), "algorithm"),
    "none": (UNSIGNED, "algorithm"),
    "HS256 by the public key": (forged_with_public_key(PEM), "algorithm"),
    "HS256 by the public key without its last newline": (forged_with_public_key(PEM.strip()), "algorithm"),
    "HS256 by the public key as DER": (
        forged_with_public_key(RSA_PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        "algorithm",
    ),
    "HS256 by the public key as JSON": (
        forged_with_public_key(json.dumps(jwk(PRIVATE["RS256"], "RS256")).encode()),
        "",
    ),
    "HS256 by nothing": (forged_with_public_key(b""), "algorithm"),
    "HS256 by a key of ours that is not set": (token(1, iss=ISSUER, aud=AUDIENCE), "algorithm"),
    "no exp": (signed("EdDSA", exp=None), "exp"),
    "no sub": (signed("EdDSA", sub=None), "sub"),
    "a sub that is no number": (signed("EdDSA", "auth0|1"), "sub"),
    "not valid yet": (signed("EdDSA", nbf=int(time.time()) + 86_400), ""),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def service(postgres: Address, provider: Provider) -> Iterator[Service]:
    """A service that trusts the provider and nobody else. It starts while the provider is away."""
    settings = {
        "ENVIRONMENT": "development",
        "SECRET_KEY": "",
        "JWKS_URL": provider.url,
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "LOG_FORMAT": "json",
    }
    service = Service(postgres.create_database(), settings)
    yield service
    service.stop()


@pytest.fixture(scope="module")
def trusting(service: Service, provider: Provider) -> Service:
    """The same, after the provider has come."""
    early = asyncio.run(refused(service.ws, PATH, token=signed("RS256")))
    assert early.reason == (503, "unavailable", 1013), "it has never answered"
    assert int(early.headers["retry-after"]) >= 1
    answer = service.get("/api/rooms/1/entries", headers={"Authorization": f"Bearer {signed('RS256')}"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    provider.start()

    async def trusted() -> bool:
        async with http_client(service.http) as http:
            headers = {"Authorization": f"Bearer {signed('RS256')}"}
            return (await http.get("/api/rooms/1/entries", headers=headers)).status_code == 200

    asyncio.run(_eventually_trusted(trusted))
    return service


async def _eventually_trusted(trusted: Any) -> None:
    await eventually(trusted, "the provider's keys are known", within=5)


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_a_token_of_the_provider_opens_connections(trusting: Service, connect: Connect, algorithm: str) -> None:
    for secret in (signed(algorithm, 7), signed(algorithm, 7, kid=None), signed(algorithm, 7, aud=["x", AUDIENCE])):
        client = await connect(trusting, PATH, token=secret)
        answer = await client.ask({"type": "authenticate", "token": signed(algorithm, 7)})
        assert answer["type"] == "authenticated"
        await client.lives()


@pytest.mark.parametrize("name", REFUSED)
async def test_any_other_token_is_refused(trusting: Service, name: str) -> None:
    secret, reason = REFUSED[name]
    refusal = await refused(trusting.ws, PATH, token=secret)
    assert refusal.reason == (401, "invalid_token", 1008)
    assert reason in refusal.problem["message"]
    assert secret not in str(refusal)


async def test_an_expired_token_is_refused_as_expired(trusting: Service) -> None:
    refusal = await refused(trusting.ws, PATH, token=signed("RS256", exp=int(time.time()) - 1))
    assert refusal.reason == (401, "expired_token", 1008)


async def test_while_the_provider_is_away_the_last_keys_count(
    trusting: Service, provider: Provider, connect: Connect
) -> None:
    provider.stop()
    try:
        for algorithm in PRIVATE:
            async with connected(trusting.ws, PATH, token=signed(algorithm, 7)) as client:
                await client.lives()
        refusal = await refused(trusting.ws, PATH, token=signed("RS256", kid="unknown"))
        assert refusal.reason == (401, "invalid_token", 1008)
    finally:
        provider.start()


async def test_invented_key_ids_do_not_reach_the_provider(trusting: Service, provider: Provider) -> None:
    before = provider.asked
    for number in range(50):
        secret = signed("EdDSA", kid=f"invented {number}")
        assert (await refused(trusting.ws, PATH, token=secret)).reason == (401, "invalid_token", 1008)
    assert provider.asked - before <= 1


# The same object as in the service, with a clock that can be put forward.


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jwks, "monotonic", clock)
    return clock


@pytest.fixture
def own() -> Iterator[Provider]:
    """A provider of one test's own."""
    provider = Provider()
    provider.start()
    yield provider
    provider.stop()


def verifier(provider: Provider, **settings: Any) -> Tokens:
    configured = Settings(jwks_url=provider.url, database_url=SecretStr("postgresql://nobody@localhost/x"), **settings)
    return Tokens(configured, Revocations(Pool(configured, Metrics())))


async def verdict(tokens: Tokens, secret: str) -> object:
    """The user of a token, or why it is refused."""
    try:
        return (await tokens.verify(secret)).user_id
    except Problem as problem:
        return problem.code


async def test_a_new_key_is_learnt_at_most_once_a_minute(own: Provider, clock: Clock) -> None:
    tokens, newer = verifier(own), signed("ES256", key=STRANGER, kid="newer")
    assert await verdict(tokens, signed("RS256", 7)) == 7
    own.document = {"keys": [*public_set(), jwk(STRANGER, "ES256", kid="newer")]}
    clock.now += 59
    assert await verdict(tokens, newer) == "invalid_token"
    assert own.asked == 1
    clock.now += 2
    assert await asyncio.gather(*(verdict(tokens, newer) for _ in range(20))) == [1] * 20
    assert own.asked == 2, "however many ask at once"


async def test_a_withdrawn_key_no_longer_counts_once_keys_are_fetched_anew(own: Provider, clock: Clock) -> None:
    tokens = verifier(own)
    assert await verdict(tokens, signed("RS256", 7)) == 7
    own.document = {"keys": [jwk(PRIVATE["ES256"], "ES256")]}
    clock.now += 3600

    async def withdrawn() -> bool:
        return await verdict(tokens, signed("RS256", 7)) == "invalid_token"

    await eventually(withdrawn, "the key is gone", within=5)
    assert await verdict(tokens, signed("ES256", 7)) == 7


BROKEN: list[tuple[int, Any]] = [
    (500, {"keys": []}),
    (404, b"not found"),
    (200, b""),
    (200, b"<html>"),
    (200, b"\xff\xfe"),
    (200, []),
    (200, {"keys": None}),
    (200, {"keys": {}}),
    (200, {"keys": []}),
    (200, {"keys": [None, 1, "x", {}, []]}),
    (200, {"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "RS256"}]}),
    (200, b"[" * 100_000),
    (200, b'{"keys":[' + b" " * 300_000 + b"]}"),
]


@pytest.mark.parametrize(("status", "document"), BROKEN, ids=lambda value: ascii(value)[:30])
async def test_a_broken_answer_changes_nothing(own: Provider, clock: Clock, status: int, document: Any) -> None:
    never, before = verifier(own), verifier(own)
    assert await verdict(before, signed("RS256", 7)) == 7
    own.status, own.document = status, document
    assert await verdict(never, signed("RS256", 7)) == "unavailable"
    clock.now += 3600
    assert await verdict(before, signed("RS256", kid="unknown")) == "invalid_token"
    assert own.asked == 3
    assert await verdict(before, signed("RS256", 7)) == 7


async def test_a_redirect_is_not_followed(own: Provider) -> None:
    own.redirects = f"{own.url}/moved"
    assert await verdict(verifier(own), signed("RS256", 7)) == "unavailable"
    assert own.asked == 1, "it could lead to plain HTTP"


async def test_a_provider_that_sends_drop_by_drop_is_given_up(own: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_server, "_FETCH_SECONDS", 0.3)
    own.pause = 0.2
    assert await verdict(verifier(own), signed("RS256", 7)) == "unavailable"


@pytest.mark.parametrize(
    ("settings", "unset"),
    [
        ({}, [["JWT_ISSUER", "JWT_AUDIENCE"]]),
        ({"jwt_issuer": ISSUER}, [["JWT_AUDIENCE"]]),
        ({"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}, []),
    ],
)
def test_the_log_warns_of_a_provider_whose_every_token_counts(
    own: Provider, settings: dict[str, str], unset: list[list[str]]
) -> None:
    with capture_logs() as lines:
        verifier(own, **settings)
    assert [line["unset"] for line in lines if line["log_level"] == "warning"] == unset


async def test_a_provider_that_says_nothing_is_not_waited_for_by_known_keys(own: Provider, clock: Clock) -> None:
    tokens = verifier(own)
    assert await verdict(tokens, signed("RS256", 7)) == 7
    own.stop()
    clock.now += 3600
    assert await verdict(tokens, signed("RS256", 7)) == 7


async def test_entries_that_make_no_sense_are_passed_over(own: Provider) -> None:
    rsa_key, curve = jwk(PRIVATE["RS256"], "RS256"), jwk(PRIVATE["ES256"], "ES256")
    garbage = [
        None,
        "key",
        {},
        {"kty": "RSA"},
        {"kty": "unheard of", "kid": "x"},
        {"kty": "EC", "crv": "P-256", "x": "!", "y": "!", "kid": "ES256"},
        {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"},
        {"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 32).decode(), "alg": "HS256", "kid": "oct"},
        rsa_key | {"n": 5},
        rsa_key | {"e": None},
        rsa_key | {"kid": 5},
        rsa_key | {"alg": ["RS256"]},
        curve | {"use": "enc", "kid": "for encryption"},
    ]
    own.document = {"keys": [*garbage, *public_set()], "more": 1}
    tokens = verifier(own)
    for algorithm in PRIVATE:
        assert await verdict(tokens, signed(algorithm, 7)) == 7
    assert await verdict(tokens, signed("ES256", kid="for encryption")) == "invalid_token"
    assert (
        await verdict(tokens, jwt.encode({"sub": "1", "exp": 2**33}, b"s" * 32, headers={"kid": "oct"}))
        == "invalid_token"
    )


async def test_keys_without_alg_kid_or_use_are_keys(own: Provider) -> None:
    """RFC 7517 §4: all three are optional."""
    bare = [{name: value for name, value in key.items() if name not in {"alg", "kid", "use"}} for key in public_set()]
    own.document = {"keys": bare}
    tokens = verifier(own)
    for algorithm in PRIVATE:
        assert await verdict(tokens, signed(algorithm, 7, kid=None)) == 7


async def test_without_issuer_and_audience_settings_neither_is_asked_for(own: Provider) -> None:
    tokens = verifier(own)
    for claims in ({}, {"iss": None}, {"aud": None}, {"iss": "any", "aud": ["any"]}):
        assert await verdict(tokens, signed("ES256", 7, **claims)) == 7


async def test_our_own_keys_and_the_providers_may_be_used_side_by_side(own: Provider) -> None:
    tokens = verifier(own, secret_key=SecretStr(SECRET_KEY), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    assert await verdict(tokens, token(7)) == 7
    assert await verdict(tokens, signed("EdDSA", 8)) == 8
    assert await verdict(tokens, forged_with_public_key(PEM)) == "invalid_token"


@pytest.mark.parametrize("subject", ["auth0|5f7c8ec7", "google-oauth2/1", "https://issuer.example/users/1", "é" * 255])
async def test_users_may_have_names(own: Provider, subject: str) -> None:
    tokens = verifier(own, jwt_subject_type=SubjectType.STRING)
    assert await verdict(tokens, signed("EdDSA", subject)) == subject
    for wrong in ("", "x" * 256, "nul \0"):
        assert await verdict(tokens, signed("EdDSA", wrong)) == "invalid_token"
