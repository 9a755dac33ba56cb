"""The names of NOTIFY's channels, which are heard in a whole database."""

import hashlib

TABLES = "'streams'::regclass::oid"
"""What makes the tables of one service distinct from a neighbour's in the same database."""
NOTIFY_CHANNEL = f":channel || '@' || {TABLES}"
"""In SQL, the channel of what `short` makes of a topic."""

_LONGEST = 50
"""Bytes: PostgreSQL takes names of 63 (NAMEDATALEN), of which `@` and a number take up to 11."""


def short(topic: str) -> str:
    """A topic, or what stands for one that is too long for a channel's name."""
    return topic if len(topic.encode()) <= _LONGEST else hashlib.blake2s(topic.encode()).hexdigest()[:_LONGEST]
