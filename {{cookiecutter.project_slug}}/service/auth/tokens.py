"""Signed tokens (RFC 7519): checking them, and making them for development and tests."""

import time
from typing import Any

import jwt

from service.auth.principal import Principal, user_id
from service.problems import Refusal
from service.settings import Settings
from service.wire import UserId

ALGORITHM = "HS256"
_LONGEST_TOKEN = 8192
_LEEWAY = 5
"""Seconds by which another machine's clock may be ahead of ours when it wrote `iat` or `nbf`."""
_END_OF_TIME = 253_402_300_799
"""The last second of the year 9999, the last that the wire can write."""


def unauthorized(code: str, message: str) -> Refusal:
    return Refusal(401, code, message, close_code=1008, headers={"WWW-Authenticate": "Bearer"})


_REASONS = {
    jwt.InvalidSignatureError: "its signature does not verify",
    jwt.InvalidAlgorithmError: "its algorithm is not allowed",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.DecodeError: "it cannot be decoded",
}


class Tokens:
    """The keys of this service. The first signs, all verify, so that a key can be replaced without a gap."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.secret_keys
        self._subject_type = settings.jwt_subject_type

    async def verify(self, token: str) -> Principal:
        """The principal of a token that is signed by one of the keys and has not expired.

        Raises:
            Refusal: 401, `expired_token` or `invalid_token`.
        """
        try:
            return self._principal(self._claims(token))
        except jwt.ExpiredSignatureError:
            raise unauthorized("expired_token", "The token has expired.") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise unauthorized("invalid_token", f"The token is not valid: {_reason(error)}.") from None

    def issue(self, subject: UserId, *, ttl: float, scopes: str = "") -> str:
        """A token for `subject`, valid for `ttl` seconds, signed with the first key."""
        now = int(time.time())
        claims: dict[str, Any] = {"sub": str(subject), "iat": now, "exp": now + int(ttl)}
        if scopes:
            claims["scope"] = scopes
        return jwt.encode(claims, self._keys[0], algorithm=ALGORITHM)

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > _LONGEST_TOKEN:
            raise ValueError("it is too long")
        wrong_key = jwt.InvalidSignatureError("Signature verification failed")
        for key in self._keys:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    leeway=_LEEWAY,
                    options={"require": ["exp", "sub"], "verify_sub": False, "verify_aud": False},
                )
            except jwt.InvalidSignatureError:
                continue
        raise wrong_key

    def _principal(self, claims: dict[str, Any]) -> Principal:
        expires_at = float(claims["exp"])
        if expires_at <= time.time():
            raise jwt.ExpiredSignatureError
        if expires_at > _END_OF_TIME:
            raise ValueError("exp is too far away")
        scope = claims.get("scope", "")
        return Principal(
            user_id=user_id(claims["sub"], self._subject_type),
            issued_at=float(claims.get("iat", 0)),
            expires_at=expires_at,
            scopes=frozenset(scope.split() if isinstance(scope, str) else ()),
        )


def _reason(error: Exception) -> str:
    """Why, in words that cannot hold anything the token held."""
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the claim {error.claim} is missing"
    if isinstance(error, ValueError):
        return str(error)
    return next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), "a claim has the wrong type")
