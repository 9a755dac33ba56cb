"""A client's first minute: a ticket for a token, a WebSocket for the ticket, an answer over it."""

import json
import os
import time
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
    """A token that is good for two minutes, or the one in SMOKE_TOKEN.

    Raises:
        DeploymentError: Tokens are made by an identity provider, and SMOKE_TOKEN holds none.
    """
    if token := os.environ.get("SMOKE_TOKEN"):
        return token
    if not environment.deployment.secret_key:
        raise DeploymentError("set SMOKE_TOKEN to a token of the identity provider, or add --without-smoke-test")
    subject = "1" if environment.deployment.subject_type == "integer" else "smoke-test"
    claims = {"sub": subject, "exp": int(time.time()) + 120}
    return jwt.encode(claims, current_keys(environment)[0], algorithm="HS256")


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
