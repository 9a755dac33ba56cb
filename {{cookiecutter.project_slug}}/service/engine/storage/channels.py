"""What makes the tables of one service distinct from a neighbour's: the names of the channels of events say it."""

import hashlib

from sqlalchemy import text

from service.engine.storage.database import Database

TABLES = "'streams'::regclass::oid"
"""Of one service, in a database where NOTIFY is heard by all."""
NOTIFY_CHANNEL = f":channel || '@' || {TABLES}"
"""In SQL, the channel of what `short` makes of a topic."""
NOTIFY_ALL = text(f"""
    SELECT pg_notify(channel || '@' || {TABLES}, payload)
    FROM unnest(CAST(:channels AS text[]), CAST(:payloads AS text[])) AS n (channel, payload)
""")  # noqa: S608 - what is put in is a constant

_HOME = text("""
    SELECT current_database() || ':' || relnamespace::regnamespace AS home FROM pg_class WHERE oid = 'streams'::regclass
""")
_LONGEST = 50
"""Bytes: PostgreSQL takes names of 63 (NAMEDATALEN), of which `@` and a number take up to 11."""


def short(topic: str) -> str:
    """A topic, or what stands for one that is too long for a channel's name, or not in every server's encoding."""
    if topic.isascii() and len(topic) <= _LONGEST:
        return topic
    return hashlib.blake2s(topic.encode()).hexdigest()[:_LONGEST]


async def home(database: Database) -> str:
    """The database and the schema of the tables, which outlive a restore; raises Unavailable."""
    return str((await database.execute(_HOME))[0]["home"])
