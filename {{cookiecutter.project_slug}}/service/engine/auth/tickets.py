"""Tickets: single-use, short-lived stand-ins for a token, for browsers, whose addresses end up in logs."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import text

from service.engine.auth.principal import Principal
from service.engine.auth.revocations import Revocations
from service.engine.auth.tokens import unauthorized
from service.engine.foundation.identity import user_id
from service.engine.foundation.settings import SubjectType
from service.engine.foundation.wire import utc
from service.engine.storage.database import Database

TICKET_SECONDS = 30
_RANDOM_BYTES = 32
_TICKET = re.compile(r"[\w-]{43}", re.ASCII)
"""What so many bytes are in base64: nothing else is worth a query."""

_ISSUE = text("""
    WITH expired AS (
        DELETE FROM tickets WHERE digest IN (
            SELECT digest FROM tickets WHERE valid_until < now() LIMIT 100 FOR UPDATE SKIP LOCKED
        )
    )
    INSERT INTO tickets (digest, user_id, scopes, claims, issued_at, expires_at, valid_until)
    VALUES (:digest, :user_id, :scopes, :claims, :issued_at, :expires_at, now() + make_interval(secs => :seconds))
""")
_CONSUME = text("""
    DELETE FROM tickets WHERE digest = :digest AND valid_until >= now()
    RETURNING user_id, scopes, claims, issued_at, expires_at
""")


class Tickets:
    """Issued by any process, consumed once by any other. The database holds their digests only."""

    def __init__(self, database: Database, revocations: Revocations, subject_type: SubjectType) -> None:
        self._database = database
        self._revocations = revocations
        self._subject_type = subject_type

    async def issue(self, principal: Principal) -> str:
        """A ticket that lets its bearer in as `principal`, once, within 30 seconds; raises Unavailable."""
        ticket = secrets.token_urlsafe(_RANDOM_BYTES)
        parameters = {
            "digest": _digest(ticket),
            "user_id": str(principal.user_id),
            "scopes": " ".join(sorted(principal.scopes)),
            "claims": _as_text(principal.claims),
            "issued_at": utc(principal.issued_at),
            "expires_at": utc(principal.expires_at),
            "seconds": TICKET_SECONDS,
        }
        await self._database.execute(_ISSUE, parameters)
        return ticket

    async def consume(self, ticket: str) -> Principal:
        """The principal of a ticket, which is worth nothing from now on.

        Raises:
            Refusal: 401, `invalid_ticket`: unknown, used, too old, or its token was revoked or has expired.
            Unavailable: The database does not answer.
        """
        found = _TICKET.fullmatch(ticket) and await self._database.execute(_CONSUME, {"digest": _digest(ticket)})
        for row in found or ():
            principal = Principal(
                user_id=user_id(row["user_id"], self._subject_type),
                issued_at=row["issued_at"].timestamp(),
                expires_at=row["expires_at"].timestamp(),
                scopes=frozenset(row["scopes"].split()),
                claims=MappingProxyType(json.loads(row["claims"] or "{}")),
            )
            if not self._revocations.covers(principal) and row["expires_at"] > datetime.now(row["expires_at"].tzinfo):
                return principal
        raise unauthorized("invalid_ticket", "The ticket is not valid: a ticket counts once, for 30 seconds.")


def _as_text(claims: Mapping[str, Any]) -> str | None:
    """As JSON in ASCII: PostgreSQL cannot hold every text that a claim can."""
    return json.dumps(dict(claims)) if claims else None


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()
