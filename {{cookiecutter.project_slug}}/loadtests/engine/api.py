"""The API of the service that is going to be loaded, for a scenario that has to prepare something there."""

import json
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

from loadtests.engine.tokens import Somebody

_SECONDS = 30


class PreparationError(Exception):
    """The service did not do what a scenario needs. The message is one line."""


class Service:
    """The service that is going to be loaded."""

    def __init__(self, host: str, places: range, somebody: Somebody) -> None:
        self.places = places
        """The numbers of what this run's clients meet on: each one's `place` is one of them."""
        self._host = host.rstrip("/")
        self._somebody = somebody

    def check(self) -> None:
        """Ask whether it is ready.

        Raises:
            PreparationError: It is not, or nobody answers.
        """
        try:
            with urllib.request.urlopen(f"{self._host}/readyz", timeout=_SECONDS):
                pass
        except HTTPError as error:
            with error:
                said = error.read()
            if error.code == 503:
                raise PreparationError(f"{self._host} is not ready: {_why(said)}") from None
        except (OSError, HTTPException):
            raise PreparationError(
                f"nothing answers at {self._host}: start it (make run), or say where it is (make loadtest URL=http://…)"
            ) from None

    def post(self, path: str, body: object = None, *, scopes: Sequence[str] = ()) -> Any:
        """POST a body as JSON, with a token of these scopes; returns the answer.

        Raises:
            PreparationError: It was refused.
        """
        return self.request("POST", path, body, scopes=scopes)

    def request(self, method: str, path: str, body: object = None, *, scopes: Sequence[str] = ()) -> Any:
        """The same with another method."""
        request = urllib.request.Request(f"{self._host}{path}", method=method)
        request.add_header("Authorization", f"Bearer {self._somebody(scopes).token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                text = answer.read()
        except HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")
            raise PreparationError(f"{method} {path} was answered with {error.code}: {said}") from None
        except OSError as error:
            raise PreparationError(f"{method} {path} was not answered: {error}") from None
        return json.loads(text) if text else None


def _why(answer: bytes) -> str:
    try:
        return "; ".join(f"{what}: {why}" for what, why in json.loads(answer)["failed"].items())
    except (ValueError, TypeError, KeyError, AttributeError):
        return "it answers with 503"
