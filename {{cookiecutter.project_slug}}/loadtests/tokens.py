"""Who the clients are: a user and a token for each."""

import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt

from loadtests.target import is_here

_SCOPE = "notifications:write"
_DAY = 86_400


class NoTokensError(Exception):
    """There is nothing to make tokens with. The message is one line."""


@dataclass(frozen=True)
class Identity:
    """A user, as the service names it, and their token."""

    user_id: int | str
    token: str


def identities(url: str, first_user: int) -> Iterator[Identity]:
    """Users without end: those of a file of tokens by turns, or numbers from `first_user` on, signed for here.

    Raises:
        NoTokensError: There is neither a file of tokens nor a key. For a service on this machine it is the service's.
    """
    if path := os.environ.get("LOADTEST_TOKENS"):
        return itertools.cycle(_read(Path(path)))
    key = os.environ.get("LOADTEST_SECRET_KEY") or _own_key(url)
    return (Identity(user, _sign(user, key)) for user in itertools.count(first_user))


def _own_key(url: str) -> str:
    """The key of this project's service on this machine: what `python -m service token` signs with."""
    if is_here(url):
        from service.development import with_secret_key  # noqa: PLC0415 - a machine that only makes load has no service
        from service.settings import SettingsError, load_settings  # noqa: PLC0415

        try:
            keys = with_secret_key(load_settings()).secret_keys
        except SettingsError as error:
            raise NoTokensError(str(error)) from None
        if keys:
            return keys[0]
    raise NoTokensError("no tokens: set LOADTEST_SECRET_KEY to the service's SECRET_KEY, or LOADTEST_TOKENS to a file")


def _sign(user: int, key: str) -> str:
    now = int(time.time())
    claims = {"sub": str(user), "iat": now, "exp": now + _DAY, "scope": _SCOPE}
    return jwt.encode(claims, key.partition(",")[0].strip(), algorithm="HS256")


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
