"""The user behind a token."""

import re
from dataclasses import dataclass

from service.settings import SubjectType
from service.wire import BIGGEST_INTEGER, UserId

_INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)
_LONGEST_SUBJECT = 255


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token speaks for, until when (Unix time), and what it allows."""

    user_id: UserId
    issued_at: float
    expires_at: float
    scopes: frozenset[str]


def user_id(subject: object, subject_type: SubjectType) -> UserId:
    """The user that a `sub` claim, or a user's column in the database, names.

    Raises:
        ValueError: It does not fit `JWT_SUBJECT_TYPE`.
    """
    if subject_type is SubjectType.INTEGER:
        if isinstance(subject, str) and _INTEGER.fullmatch(subject):
            subject = int(subject)
        if not isinstance(subject, int) or isinstance(subject, bool) or not 0 <= subject <= BIGGEST_INTEGER:
            raise ValueError("sub must be a whole number")
        return subject
    if not isinstance(subject, str) or not 1 <= len(subject) <= _LONGEST_SUBJECT or not _is_storable(subject):
        raise ValueError(f"sub must be a text of 1 to {_LONGEST_SUBJECT} characters")
    return subject


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # half a character
        return False
