"""Users whose older tokens no longer count, kept in the database and known in each process."""

from datetime import UTC, datetime

from sqlalchemy import text

from service.engine.auth.principal import Principal
from service.engine.foundation.wire import UserId
from service.engine.storage.channels import NOTIFY_CHANNEL
from service.engine.storage.database import Database

_REVOKE = text(f"""
    WITH revoked AS (
        INSERT INTO revocations (user_id, revoked_at) VALUES (:user_id, clock_timestamp())
        ON CONFLICT (user_id) DO UPDATE SET revoked_at = excluded.revoked_at
        RETURNING user_id
    )
    SELECT CASE WHEN :channel = '' THEN NULL ELSE pg_notify({NOTIFY_CHANNEL}, '')::text END FROM revoked
""")  # noqa: S608 - what is put in is a constant
_NEW = text("SELECT user_id, revoked_at FROM revocations WHERE revoked_at > :since - interval '5 s'")
"""Five seconds back: a transaction that took its time is not overlooked."""


class Revocations:
    """When each user's tokens were last revoked: a token that is not younger is refused."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._revoked_at: dict[str, float] = {}
        self._latest = datetime.fromtimestamp(0, UTC)
        self.loaded = False

    def covers(self, principal: Principal) -> bool:
        """Whether the principal's token has been revoked.

        A token of the same second counts as older: `iat` knows no fractions, and too strict is the safe side. Before
        the first `load` nothing counts as revoked: without the database nobody can do anything yet, and the engine
        closes what is revoked as soon as it knows.
        """
        return principal.issued_at <= self._revoked_at.get(str(principal.user_id), -1)

    async def revoke(self, user: UserId, channel: str | None) -> None:
        """Refuse every token of `user` that is issued up to now; raises Unavailable."""
        await self._database.execute(_REVOKE, {"user_id": str(user), "channel": channel or ""})

    async def load(self) -> None:
        """Learn what was revoked since the last time; raises Unavailable."""
        for row in await self._database.execute(_NEW, {"since": self._latest}):
            self._revoked_at[row["user_id"]] = row["revoked_at"].timestamp()
            self._latest = max(self._latest, row["revoked_at"])
        self.loaded = True
