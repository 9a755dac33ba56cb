"""Signed tokens (RFC 7519): checking them, and making them for development and tests."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import jwt
import structlog
from jwt.algorithms import HMACAlgorithm
from jwt.types import Options

from service.engine.auth.jwks import ALGORITHMS, KeySet
from service.engine.auth.own_tokens import plain_claims, signer
from service.engine.auth.principal import Principal
from service.engine.auth.revocations import Revocations
from service.engine.auth.scopes import scopes_in
from service.engine.foundation.identity import user_id
from service.engine.foundation.problems import Refusal
from service.engine.foundation.settings import Settings
from service.engine.foundation.wire import UserId

ALGORITHM = "HS256"
_LONGEST_TOKEN = 8192
_LEEWAY = 5
"""Seconds by which another machine's clock may be ahead of ours when it wrote `iat` or `nbf`."""
_END_OF_TIME = 253_402_300_799
"""The last second of the year 9999, the last that the wire can write."""


def unauthorized(code: str, message: str) -> Refusal:
    return Refusal(401, code, message, close_code=1008, headers={"WWW-Authenticate": "Bearer"})


_logger = structlog.get_logger(__name__)

_SCOPE = "scope"
"""Where the tokens of our own keys say what they allow."""
_OUR_CLAIMS = {"sub", "iat", "nbf", "exp"}
"""Those that a principal's other fields say; the rest is for the application to read."""
_REASONS = {
    jwt.InvalidSignatureError: "its signature does not verify",
    jwt.InvalidAlgorithmError: "its algorithm is not allowed",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidIssuerError: "its issuer is not the configured one",
    jwt.InvalidAudienceError: "its audience is not the configured one",
    jwt.DecodeError: "it cannot be decoded",
}


class Tokens:
    """Which tokens count: those of our own keys, of which the first signs and all verify, and the provider's."""

    def __init__(self, settings: Settings, revocations: Revocations) -> None:
        self._keys = settings.secret_keys
        self._signers = [signer(key.encode()) for key in settings.secret_keys if _is_hmac_key(key)]
        self._provider = KeySet(settings.jwks_url) if settings.jwks_url else None
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._subject_type = settings.jwt_subject_type
        self._own_scopes = (_SCOPE, *settings.jwt_scope_claim)
        self._scopes = settings.jwt_scope_claim
        self._revocations = revocations
        unset = [name for name in ("JWT_ISSUER", "JWT_AUDIENCE") if not getattr(settings, name.lower())]
        if self._provider is not None and unset:
            _logger.warning("tokens_for_others_count", unset=unset)  # whatever else the provider signs tokens for

    async def close(self) -> None:
        """Verify no more."""
        if self._provider is not None:
            await self._provider.close()

    async def verify(self, token: str) -> Principal:
        """The principal of a token that is signed by one of the keys, has not expired and was not revoked.

        Raises:
            Refusal: 401, `expired_token` or `invalid_token`.
            Unavailable: What is needed to tell cannot be read.
        """
        try:
            plain = plain_claims(token, self._signers, _LEEWAY) if len(token) <= _LONGEST_TOKEN else None
            claims, scopes = await self._claims(token) if plain is None else (plain, self._own_scopes)
            principal = self._principal(claims, scopes)
        except jwt.ExpiredSignatureError:
            raise unauthorized("expired_token", "The token has expired.") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise unauthorized("invalid_token", f"The token is not valid: {_reason(error)}.") from None
        if self._revocations.covers(principal):
            raise unauthorized("invalid_token", "The token is not valid: it was revoked.")
        return principal

    async def _claims(self, token: str) -> tuple[dict[str, Any], Sequence[str]]:
        """What a token says, and which of its claims say what it allows."""
        if len(token) > _LONGEST_TOKEN:
            raise ValueError("it is too long")
        if self._provider is None:
            return _decode(token, self._keys, ALGORITHM), self._own_scopes
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm == ALGORITHM and self._keys:
            return _decode(token, self._keys, algorithm), self._own_scopes
        if algorithm in ALGORITHMS:
            keys = await self._provider.candidates(header)
            return _decode(token, keys, algorithm, issuer=self._issuer, audience=self._audience), self._scopes
        raise jwt.InvalidAlgorithmError

    def _principal(self, claims: dict[str, Any], scopes: Sequence[str]) -> Principal:
        expires_at = float(claims["exp"])
        if expires_at <= time.time():
            raise jwt.ExpiredSignatureError
        if expires_at > _END_OF_TIME:
            raise ValueError("exp is too far away")
        return Principal(
            user_id=user_id(claims["sub"], self._subject_type),
            issued_at=max(0.0, float(claims.get("iat", 0))),
            expires_at=expires_at,
            scopes=scopes_in(claims, scopes),
            claims=MappingProxyType(
                {name: value for name, value in claims.items() if name not in _OUR_CLAIMS and name not in scopes}
            ),
        )


def issue_token(
    settings: Settings, subject: UserId, *, ttl: float, scopes: str = "", claims: Mapping[str, Any] | None = None
) -> str:
    """A token for `subject`, valid for `ttl` seconds, signed with the first key of `SECRET_KEY`."""
    now = int(time.time())
    content = {**(claims or {}), "sub": str(subject), "iat": now, "exp": now + int(ttl)}
    if scopes:
        content[_SCOPE] = scopes
    return jwt.encode(content, settings.secret_keys[0], algorithm=ALGORITHM)


def demo_tokens(settings: Settings, scopes: Sequence[str]) -> list[str]:
    """Tokens for the two users of the demo page."""
    users: tuple[UserId, ...] = (1, 2) if settings.jwt_subject_type == "integer" else ("one", "two")
    return [issue_token(settings, user, ttl=86_400, scopes=" ".join(scopes)) for user in users]


def _is_hmac_key(secret: str) -> bool:
    """Whether it does not look like another kind of key, of which PyJWT says so of each token."""
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError:
        return False
    return True


def _decode(
    token: str,
    keys: Sequence[str | jwt.PyJWK],
    algorithm: str,
    *,
    issuer: str | None = None,
    audience: str | None = None,
) -> dict[str, Any]:
    options: Options = {"require": ["exp", "sub"], "verify_sub": False, "verify_aud": audience is not None}
    for key in keys:
        with suppress(jwt.InvalidSignatureError):
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                leeway=_LEEWAY,
                issuer=issuer,
                audience=audience,
                options=options,
            )
    raise jwt.InvalidSignatureError


def _reason(error: Exception) -> str:
    """Why, in words that cannot hold anything the token held."""
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the claim {error.claim} is missing"
    if isinstance(error, ValueError):
        return str(error)
    return next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), "a claim has the wrong type")
