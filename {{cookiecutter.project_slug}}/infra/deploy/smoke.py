"""A client's first minute: a ticket for a token, a WebSocket for the ticket, an answer over it."""

import json
import os
import time
import urllib.parse
import urllib.request
from urllib.error import HTTPError

import jwt
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from infra.deploy.environment import DeploymentError, Environment
from infra.deploy.secret_key import current_keys

_ATTEMPTS = 6
_SECONDS = 10


def token_for(environment: Environment) -> str:
    """A token that is good for two minutes, one of the identity provider, or the one in SMOKE_TOKEN.

    Raises:
        DeploymentError: Tokens are made by an identity provider, and nothing says how to get one.
    """
    if token := os.environ.get("SMOKE_TOKEN"):
        return token
    if os.environ.get("SMOKE_TOKEN_URL"):
        return _ask_provider(os.environ["SMOKE_TOKEN_URL"])
    if not environment.deployment.secret_key:
        raise DeploymentError(
            "the smoke test needs a token of the identity provider: set SMOKE_TOKEN_URL, SMOKE_CLIENT_ID and "
            "SMOKE_CLIENT_SECRET, or SMOKE_TOKEN, or leave it out with --without-smoke-test (on GitHub, SMOKE_TEST=off)"
        )
    subject = "1" if environment.deployment.subject_type == "integer" else "smoke-test"
    claims = {"sub": subject, "exp": int(time.time()) + 120}
    return jwt.encode(claims, current_keys(environment)[0], algorithm="HS256")


def _ask_provider(url: str) -> str:
    """A token for a client of its own (RFC 6749 §4.4)."""
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise DeploymentError("SMOKE_TOKEN_URL must be an https address: a secret goes there")
    names = {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET", "scope": "SCOPE", "audience": "AUDIENCE"}
    known = {key: value for key, name in names.items() if (value := os.environ.get(f"SMOKE_{name}"))}
    form = urllib.parse.urlencode({"grant_type": "client_credentials", **known}).encode()
    try:
        with urllib.request.urlopen(url, form, timeout=_SECONDS) as answer:  # noqa: S310
            return str(json.load(answer)["access_token"])
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise DeploymentError(f"{url} gave no token for the smoke test: {type(error).__name__}: {error}") from None


def smoke_test(environment: Environment, token: str) -> None:
    """Be a client.

    Raises:
        DeploymentError: The service does not serve.
    """
    url = environment.deployment.url
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _be_a_client(url, token)
        except (OSError, WebSocketException, ValueError) as error:
            if isinstance(error, HTTPError):
                error.close()
            if attempt == _ATTEMPTS:
                raise DeploymentError(f"the smoke test failed: {type(error).__name__}: {error}") from None
            time.sleep(attempt)
        else:
            environment.say(f"{url} serves")
            return


def _be_a_client(url: str, token: str) -> None:
    request = urllib.request.Request(f"{url}/api/tickets", method="POST", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        ticket = json.load(answer)["ticket"]
    address = f"{url.replace('http', 'ws', 1)}/ws/ping?ticket={ticket}"
    with connect(address, open_timeout=_SECONDS, close_timeout=_SECONDS) as client:
        client.send('{"type":"ping"}')
        if json.loads(client.recv(timeout=_SECONDS)) != {"type": "pong"}:
            raise ValueError("the first answer was no pong")
