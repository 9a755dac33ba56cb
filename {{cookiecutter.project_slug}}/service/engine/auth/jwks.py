"""The public keys of an identity provider (RFC 7517), fetched when needed and kept while it is down."""

import asyncio
from time import monotonic
from typing import Any

import jwt
import structlog

from service.engine.auth.key_server import KeyServer, KeyServerError
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.reporting import Trouble
from service.engine.foundation.tasks import Tasks

ALGORITHMS = ("RS256", "ES256", "EdDSA")

_RETRY_SECONDS = 60.0
"""How often at most an unknown key makes us ask again; anybody can invent key ids."""
_FRESH_SECONDS = 600.0
"""How long keys count as fresh; older ones still verify, but are asked for anew."""

_logger = structlog.get_logger(__name__)


class KeySet:
    """The keys at one address."""

    def __init__(self, url: str) -> None:
        self._server = KeyServer(url)
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        self._trouble = Trouble("jwks_unavailable")
        self._background = Tasks(lambda error: _logger.error("background_task_failed", exc_info=error))

    async def close(self) -> None:
        """Ask no more."""
        await self._background.ended()

    async def candidates(self, header: dict[str, Any]) -> list[jwt.PyJWK]:
        """The keys that may have signed a token with this header: its `kid`, or without one those of its algorithm.

        Raises:
            Unavailable: The provider has never answered.
        """
        if not self._matching(header):
            await self._refresh()
        elif monotonic() - self._fetched_at > _FRESH_SECONDS and self._may_ask() and not self._asking.locked():
            self._background.start(self._refresh())  # known keys do not wait for the provider
        if not self._keys:
            raise Unavailable("The identity provider's keys cannot be read right now: try again.")
        return self._matching(header)

    def _matching(self, header: dict[str, Any]) -> list[jwt.PyJWK]:
        of_algorithm = [key for key in self._keys if key.algorithm_name == header.get("alg")]
        kid = header.get("kid")
        return [key for key in of_algorithm if kid is None or key.key_id == kid]

    def _may_ask(self) -> bool:
        return monotonic() - self._asked_at >= (_RETRY_SECONDS if self._keys else 1.0)

    async def _refresh(self) -> None:
        async with self._asking:
            if not self._may_ask():
                return
            self._asked_at = monotonic()
            try:
                self._keys = _usable(await self._server.ask())
            except KeyServerError as error:
                self._trouble.failed(error)
            else:
                self._fetched_at = monotonic()
                self._trouble.over()


def _usable(document: Any) -> list[jwt.PyJWK]:
    """The signing keys among those of a set that are of an algorithm we accept; others are passed over.

    Raises:
        KeyServerError: There are none.
    """
    keys = []
    for entry in document["keys"] if isinstance(document, dict) and isinstance(document.get("keys"), list) else []:
        try:
            key = jwt.PyJWK(entry)
        except (jwt.PyJWTError, TypeError, AttributeError):
            continue
        if key.algorithm_name in ALGORITHMS and entry.get("use", "sig") == "sig":
            keys.append(key)
    if not keys:
        raise KeyServerError("there is no key in its answer that we can use")
    return keys
