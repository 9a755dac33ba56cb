"""How users are named: by the `sub` of their tokens, a whole number or a text."""

import re

from service.engine.foundation.problems import Problem
from service.engine.foundation.settings import SubjectType
from service.engine.foundation.wire import BIGGEST_INTEGER, UserId

_INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)
_LONGEST_SUBJECT = 255


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


def user_of_request(subject: object, subject_type: SubjectType) -> UserId:
    """The user that a field `user_id` of a request names; raises Problem, 422 `invalid_request`."""
    try:
        return user_id(subject, subject_type)
    except ValueError as error:
        raise Problem("invalid_request", f"user_id: {error}", status=422) from None


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # half a character
        return False
