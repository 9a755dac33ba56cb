"""The user behind a token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from service.engine.foundation.wire import UserId

_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token speaks for, until when (Unix time), and what it allows.

    `claims` are the other claims of the token, as its issuer wrote them: a tenant, a role, a name.
    """

    user_id: UserId
    issued_at: float
    expires_at: float
    scopes: frozenset[str]
    claims: Mapping[str, Any] = field(default_factory=lambda: _NO_CLAIMS)
