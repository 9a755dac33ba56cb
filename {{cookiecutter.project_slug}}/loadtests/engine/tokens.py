"""Who the clients are: a user and a token for each."""

import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jwt

from loadtests.engine.target import is_here

_DAY = 86_400


class NoTokensError(Exception):
    """There is nothing to make tokens with. The message is one line."""


@dataclass(frozen=True)
class Identity:
    """A user, as the service names it, and their token."""

    user_id: int | str
    token: str


Somebody = Callable[[Sequence[str]], Identity]
"""The next user, with a token of these scopes."""


def identities(url: str, first_user: int) -> Somebody:
    """Users without end: numbers from `first_user` on, signed for here, or those of a file of tokens by turns.

    The tokens in a file have the scopes that they have.

    Raises:
        NoTokensError: There is neither a file of tokens nor a key. For a service on this machine it is the service's.
    """
    if path := os.environ.get("LOADTEST_TOKENS"):
        given = itertools.cycle(_read(Path(path)))
        return lambda _scopes: next(given)
    key = os.environ.get("LOADTEST_SECRET_KEY") or _own_key(url)
    numbers = itertools.count(first_user)
    return lambda scopes: _signed(next(numbers), scopes, key)


def _own_key(url: str) -> str:
    """The key of this project's service on this machine: what `python -m service token` signs with."""
    if is_here(url):
        from service.engine.application.development import (  # noqa: PLC0415 - who only makes load has no service
            with_secret_key,
        )
        from service.engine.foundation.settings import Settings, SettingsError, load_settings  # noqa: PLC0415

        try:
            keys = with_secret_key(load_settings(Settings)).secret_keys
        except SettingsError as error:
            raise NoTokensError(str(error)) from None
        if keys:
            return keys[0]
    raise NoTokensError("no tokens: set LOADTEST_SECRET_KEY to the service's SECRET_KEY, or LOADTEST_TOKENS to a file")


def _signed(user: int, scopes: Sequence[str], key: str) -> Identity:
    now = int(time.time())
    claims = {"sub": str(user), "iat": now, "exp": now + _DAY}
    if scopes:
        claims["scope"] = " ".join(scopes)
    return Identity(user, jwt.encode(claims, key.partition(",")[0].strip(), algorithm="HS256"))


def _read(path: Path) -> list[Identity]:
    try:
        found = [Identity(_subject(token), token) for token in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError, KeyError, jwt.PyJWTError) as error:
        raise NoTokensError(f"LOADTEST_TOKENS: {path}: {error}") from None
    if not found:
        raise NoTokensError(f"LOADTEST_TOKENS: {path} is empty")
    return found


def _subject(token: str) -> int | str:
    subject = str(jwt.decode(token, options={"verify_signature": False})["sub"])
    return int(subject) if subject.isdecimal() else subject
