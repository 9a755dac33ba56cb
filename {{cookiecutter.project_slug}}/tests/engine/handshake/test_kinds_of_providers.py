"""Identity providers differ: what their key server wants, where they write what a token allows, how they fail."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from structlog.testing import capture_logs

from service.engine.auth import jwks
from service.engine.auth.principal import Principal
from service.engine.auth.revocations import Revocations
from service.engine.auth.tokens import Tokens
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.problems import Problem
from service.engine.foundation.project import read_project
from service.engine.foundation.settings import Settings
from service.engine.storage.database import Database
from tests.engine.kit.commands import SECRET_KEY
from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.http_client import http_request
from tests.engine.kit.running import HOST, free_port
from tests.engine.kit.tokens import token

KEY = ec.generate_private_key(ec.SECP256R1())
SECRET_IN_ADDRESS = "a-secret-of-the-address"


class KeyServer:
    """A key server that answers as it is told to, or not at all, and remembers what it was asked."""

    def __init__(self) -> None:
        public: dict[str, Any] = json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(KEY.public_key()))
        self.document: Any = {"keys": [public]}
        self.status = 200
        self.wants_a_name = False
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.asked = threading.Event()
        self.headers: dict[str, str] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.headers = dict(self.headers)
                server.asked.set()
                server.goes_on.wait(30)
                unnamed = server.wants_a_name and "urllib" in self.headers.get("User-Agent", "urllib")
                content = (
                    server.document if isinstance(server.document, bytes) else json.dumps(server.document).encode()
                )
                with suppress(OSError):  # whoever asked may have left
                    self.send_response(403 if unnamed else server.status)
                    self.send_header("Location", f"/elsewhere?{SECRET_IN_ADDRESS}")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing to say."""

        self._server = ThreadingHTTPServer((HOST, free_port()), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_port}/keys?key={SECRET_IN_ADDRESS}"
        threading.Thread(target=partial(self._server.serve_forever, poll_interval=0.01), daemon=True).start()

    def stop(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[KeyServer]:
    server = KeyServer()
    yield server
    server.stop()


def tokens_of(url: str, **settings: Any) -> Tokens:
    """What a service makes of a provider's tokens."""
    configured = Settings(jwks_url=url, database_url=SecretStr("postgresql://nobody@localhost/x"), **settings)
    return Tokens(configured, Revocations(Database(configured, Metrics())))


def signed(**claims: Any) -> str:
    """A token of the provider."""
    return jwt.encode({"sub": "7", "exp": int(time.time()) + 600, **claims}, KEY, algorithm="ES256")


async def principal_of(url: str, settings: dict[str, Any], **claims: Any) -> Principal:
    return await tokens_of(url, **settings).verify(signed(**claims))


async def test_a_key_server_is_told_who_asks(server: KeyServer) -> None:
    server.wants_a_name = True
    assert (await principal_of(server.url, {})).user_id == 7
    project = read_project()
    assert server.headers["User-Agent"] == f"{project.name}/{project.version}"
    assert "application/json" in server.headers["Accept"]


SCOPES: dict[str, tuple[str | None, dict[str, Any], set[str]]] = {
    "RFC 8693": (None, {"scope": "a:read  a:write"}, {"a:read", "a:write"}),
    "a list": (None, {"scope": ["a:read", "a:write"]}, {"a:read", "a:write"}),
    "none": (None, {}, set()),
    "an empty one": (None, {"scope": ""}, set()),
    "those of others do not count": (None, {"scp": "a", "permissions": ["b"], "roles": ["c"]}, set()),
    "Entra ID": ("scp", {"scp": "a b"}, {"a", "b"}),
    "Okta": ("scp", {"scp": ["a", "b"]}, {"a", "b"}),
    "Auth0": ("permissions", {"permissions": ["a:read"], "scope": "openid"}, {"a:read"}),
    "several": ("scope, permissions", {"permissions": ["a:read"], "scope": "openid"}, {"a:read", "openid"}),
    "Keycloak": ("realm_access.roles", {"realm_access": {"roles": ["a", "Site Admin"]}}, {"a", "Site Admin"}),
    "Keycloak, of a client": (
        "resource_access.my-app.roles",
        {"resource_access": {"my-app": {"roles": ["a"]}, "account": {"roles": ["b"]}}},
        {"a"},
    ),
    "a name with dots": ("https://example.com/roles", {"https://example.com/roles": ["a"]}, {"a"}),
    "a name with dots inside": ("apps.example.com.roles", {"apps": {"example.com": {"roles": ["a"]}}}, {"a"}),
    "nonsense": (None, {"scope": {"a": True}}, set()),
    "nonsense in a list": (None, {"scope": ["a", 7, None, ["b"], {"c": 1}, ""]}, {"a"}),
    "nonsense on the way": ("realm_access.roles", {"realm_access": ["roles"]}, set()),
    "a path too long": ("scope.inner", {"scope": "a"}, set()),
}


@pytest.mark.parametrize(("setting", "claims", "scopes"), SCOPES.values(), ids=SCOPES)
async def test_what_a_token_allows_is_found_where_the_setting_says(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch, setting: str | None, claims: dict[str, Any], scopes: set[str]
) -> None:
    if setting is not None:
        monkeypatch.setenv("JWT_SCOPE_CLAIM", setting)
    assert (await principal_of(server.url, {}, **claims)).scopes == scopes


async def test_what_is_no_scope_is_left_for_the_application(server: KeyServer) -> None:
    claims = {"scope": "openid", "permissions": ["a"], "role": "admin"}
    principal = await principal_of(server.url, {"jwt_scope_claim": ("permissions",)}, **claims)
    assert dict(principal.claims) == {"scope": "openid", "role": "admin"}
    assert dict((await principal_of(server.url, {}, **claims)).claims) == {"permissions": ["a"], "role": "admin"}


async def test_tokens_of_our_own_key_say_it_as_ever(server: KeyServer) -> None:
    tokens = tokens_of(server.url, jwt_scope_claim=("permissions",), secret_key=SecretStr(SECRET_KEY))
    own = await tokens.verify(token(7, scope="letters:write", permissions=["a"]))
    assert own.scopes == {"letters:write", "a"}
    assert (await tokens.verify(signed(scope="letters:write"))).scopes == frozenset()


FAILURES: dict[str, tuple[int, Any, str]] = {
    "forbidden": (403, b"", "it answers with HTTP status 403"),
    "broken": (500, b"", "it answers with HTTP status 500"),
    "moved": (302, b"", "it answers with HTTP status 302, and redirects are not followed"),
    "a page": (200, b"<html>", "its answer is not JSON, or too large"),
    "too large": (200, b" " * 300_000 + b"{}", "its answer is not JSON, or too large"),
    "no keys": (200, {"keys": []}, "there is no key in its answer that we can use"),
}


async def reasons(tokens: Tokens) -> list[str]:
    """What is logged when a token is to be verified, and there are no keys."""
    with capture_logs() as lines, pytest.raises(Problem) as refused:
        await tokens.verify(signed())
    assert refused.value.code == "unavailable"
    assert SECRET_IN_ADDRESS not in str(lines)
    return [line["why"] for line in lines if line["event"] == "jwks_unavailable"]


@pytest.mark.parametrize(("status", "document", "why"), FAILURES.values(), ids=FAILURES)
async def test_the_log_says_why_there_are_no_keys(server: KeyServer, status: int, document: Any, why: str) -> None:
    server.status, server.document = status, document
    assert await reasons(tokens_of(server.url)) == [why]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"http://{HOST}:9/keys?{SECRET_IN_ADDRESS}", "Connection refused"),
        (f"http://nowhere.invalid/keys?{SECRET_IN_ADDRESS}", "[Errno"),
        (f"http://{HOST}:9/{SECRET_IN_ADDRESS} and more", "its answer is not HTTP"),
    ],
)
async def test_it_does_so_where_nobody_answers(url: str, why: str) -> None:
    (said,) = await reasons(tokens_of(url))
    assert why in said


async def test_keys_that_are_asked_for_in_the_background_have_an_owner(
    server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tokens_of(server.url)
    assert (await tokens.verify(signed())).user_id == 7
    server.asked.clear()
    server.goes_on.clear()
    monkeypatch.setattr(jwks, "_FRESH_SECONDS", 0.0)
    monkeypatch.setattr(jwks, "_RETRY_SECONDS", 0.0)
    for _ in range(3):
        assert (await tokens.verify(signed())).user_id == 7
    await asyncio.to_thread(server.asked.wait, 10)
    before = time.monotonic()
    await tokens.close()
    assert time.monotonic() - before < 2
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_provider_that_keeps_silent_delays_no_stop(start_service: StartService, server: KeyServer) -> None:
    server.goes_on.clear()
    service = start_service(ENVIRONMENT="development", SECRET_KEY="", JWKS_URL=server.url, LOG_FORMAT="json")
    asking = threading.Thread(target=ask_in_vain, args=[f"{service.http}/api/letters"])
    asking.start()
    assert server.asked.wait(10)
    service.terminate()
    assert service.wait(within=4) == 0
    assert "SIGKILL" not in service.log()
    asking.join(10)


def ask_in_vain(url: str) -> None:
    with suppress(httpx.TransportError):
        http_request("GET", url, headers={"Authorization": f"Bearer {signed()}"}, timeout=20)
