"""Every way a connection ends: its close code, what it is called, and what the client does next.

The log, the metric `websocket_closes`, docs/protocol.md and client.js say what this table says. Codes: RFC 6455 §7.4.
"""

from dataclasses import dataclass
from enum import StrEnum


class Next(StrEnum):
    """What a client does after an ending."""

    STAY_AWAY = "stay away"
    RENEW_TOKEN = "come back with a new token"  # noqa: S105 - a rule
    AFTER_DELAY = "come back after the delay that `reconnect` has named"
    AT_ONCE = "come back at once"
    BACK_OFF = "come back after a growing, random delay"


@dataclass(frozen=True, slots=True)
class Ending:
    """One way to end: `code` and `reason` as the close frame carries them."""

    code: int
    reason: str
    then: Next


NORMAL = Ending(1000, "", Next.STAY_AWAY)
BINARY_NOT_ALLOWED = Ending(1003, "this endpoint speaks JSON in text frames", Next.STAY_AWAY)
TOKEN_EXPIRED = Ending(1008, "token expired", Next.RENEW_TOKEN)
REVOKED = Ending(1008, "revoked", Next.RENEW_TOKEN)
BAD_MESSAGES = Ending(1008, "too many bad messages in a row", Next.RENEW_TOKEN)
TOO_BIG = Ending(1009, "message too big", Next.STAY_AWAY)
BUG = Ending(1011, "internal error", Next.BACK_OFF)
RESTARTING = Ending(1012, "restarting", Next.AFTER_DELAY)
SLOW_CONSUMER = Ending(1013, "slow consumer", Next.BACK_OFF)
UNAVAILABLE = Ending(1013, "unavailable", Next.BACK_OFF)
REFUSED = Ending(4403, "refused", Next.STAY_AWAY)
SILENT = Ending(4408, "heartbeat timeout", Next.AT_ONCE)

ENDINGS = (
    NORMAL,
    BINARY_NOT_ALLOWED,
    TOKEN_EXPIRED,
    REVOKED,
    BAD_MESSAGES,
    TOO_BIG,
    BUG,
    RESTARTING,
    SLOW_CONSUMER,
    UNAVAILABLE,
    REFUSED,
    SILENT,
)
"""Those that the service chooses; a client may end with any other code, or with none (1005, 1006)."""

LOST = 1006
"""Stands for an end without a close frame."""
OF_THE_PROTOCOL = frozenset({1001, 1002, 1005, LOST, 1007})
"""Endings that a client, or its breach of the protocol, brings about."""
CODES = frozenset({ending.code for ending in ENDINGS}) | OF_THE_PROTOCOL


def of_client(code: int, reason: str = "") -> Ending:
    """An ending that the client, its link or the protocol brought about."""
    return Ending(code, reason, Next.BACK_OFF)


def label(ending: Ending | None) -> str:
    """The value of the metric's label: a client may send any code, and a metric must not have a series for each."""
    return str(ending.code) if ending is not None and ending.code in CODES else "other"
