"""The public keys of an identity provider (RFC 7517), fetched when needed and kept while it is down."""

import asyncio
import json
import urllib.request
from http.client import HTTPException
from time import monotonic
from typing import Any
from urllib.error import HTTPError

import jwt
import structlog

from service.engine.foundation.problems import Unavailable

ALGORITHMS = ("RS256", "ES256", "EdDSA")

_RETRY_SECONDS = 60.0
"""How often at most an unknown key makes us ask again; anybody can invent key ids."""
_FRESH_SECONDS = 600.0
"""How long keys count as fresh; older ones still verify, but are asked for anew."""
_FETCH_SECONDS = 5.0
_LARGEST_SET = 262_144

_logger = structlog.get_logger(__name__)


class KeySet:
    """The keys at one address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def candidates(self, header: dict[str, Any]) -> list[jwt.PyJWK]:
        """The keys that may have signed a token with this header: its `kid`, or without one those of its algorithm.

        Raises:
            Unavailable: The provider has never answered.
        """
        if not self._matching(header):
            await self._refresh()
        elif monotonic() - self._fetched_at > _FRESH_SECONDS and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.create_task(self._refresh())  # known keys do not wait for the provider
        if not self._keys:
            raise Unavailable("The identity provider's keys cannot be read right now: try again.")
        return self._matching(header)

    def _matching(self, header: dict[str, Any]) -> list[jwt.PyJWK]:
        of_algorithm = [key for key in self._keys if key.algorithm_name == header.get("alg")]
        kid = header.get("kid")
        return [key for key in of_algorithm if kid is None or key.key_id == kid]

    async def _refresh(self) -> None:
        async with self._asking:
            if monotonic() - self._asked_at < (_RETRY_SECONDS if self._keys else 1.0):
                return
            self._asked_at = monotonic()
            try:
                async with asyncio.timeout(2 * _FETCH_SECONDS):
                    self._keys = _usable(await asyncio.to_thread(_fetch, self._url))
            except (OSError, HTTPException, ValueError, RecursionError, jwt.PyJWTError) as error:
                _logger.warning("jwks_unavailable", error=type(error).__name__)
            else:
                self._fetched_at = monotonic()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead away from the provider, or from https."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _fetch(url: str) -> Any:
    """The document at `url`, within a time and a size: this runs in a thread, which nothing else would end."""
    deadline = monotonic() + _FETCH_SECONDS
    document = b""
    try:
        response = urllib.request.build_opener(_NoRedirects).open(url, timeout=_FETCH_SECONDS)
    except HTTPError as refusal:
        refusal.close()  # it is the answer too, with the connection that this came on
        raise
    with response:
        while part := response.read1(_LARGEST_SET):
            document += part
            if len(document) > _LARGEST_SET or monotonic() > deadline:
                raise ValueError("too large or too slow")
    return json.loads(document)


def _usable(document: Any) -> list[jwt.PyJWK]:
    """The signing keys among those of a set that are of an algorithm we accept; others are passed over."""
    keys = []
    for entry in document["keys"] if isinstance(document, dict) and isinstance(document.get("keys"), list) else []:
        try:
            key = jwt.PyJWK(entry)
        except (jwt.PyJWTError, TypeError, AttributeError):
            continue
        if key.algorithm_name in ALGORITHMS and entry.get("use", "sig") == "sig":
            keys.append(key)
    if not keys:
        raise ValueError("no usable key")
    return keys
