"""Tokens as the service's clients hold them: signed here, with the key given to the service under test."""

import time
from typing import Any

import jwt

from tests.engine.kit.commands import SECRET_KEY


def token(
    user: int | str | None = 1,
    *,
    ttl: float | None = 3600,
    scope: str | None = None,
    key: Any = SECRET_KEY,
    algorithm: str = "HS256",
    **claims: Any,
) -> str:
    """A token of `user`; None leaves out `sub` or `exp`, further claims are added as they are."""
    now = time.time()
    payload: dict[str, Any] = {"iat": int(now)}
    if user is not None:
        payload["sub"] = str(user)
    if ttl is not None:
        payload["exp"] = int(now + ttl)
    if scope is not None:
        payload["scope"] = scope
    return jwt.encode(payload | claims, key, algorithm=algorithm)


def bearer(user: int | str | None = 1, **options: Any) -> dict[str, str]:
    """The header that carries a token of `user`."""
    return {"Authorization": f"Bearer {token(user, **options)}"}
