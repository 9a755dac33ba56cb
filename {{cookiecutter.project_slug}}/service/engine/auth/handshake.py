"""What a handshake carries: its token, and the origin it comes from."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from service.engine.auth.principal import Principal
from service.engine.auth.tickets import Tickets
from service.engine.auth.tokens import Tokens, unauthorized
from service.engine.foundation.operations import name_user
from service.engine.foundation.problems import Refusal
from service.engine.foundation.settings import DEFAULT_PORTS, plain_origin

SUBPROTOCOL = "live.v1"
_TOKEN_SUBPROTOCOL = "bearer."  # noqa: S105 - a prefix
_SUBDOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)


async def authenticate(handshake: HTTPConnection, tokens: Tokens, tickets: Tickets) -> Principal:
    """The principal of a handshake: the first of header, subprotocol, `?token=` and `?ticket=` decides.

    Whoever sends two in the same place is refused: which of them counts would be a guess.

    Raises:
        Refusal: 401, `missing_token`, `expired_token`, `invalid_token` or `invalid_ticket`.
        Unavailable: What is needed to tell cannot be read.
    """
    query = handshake.query_params
    token = bearer_token(handshake) or _only(_offered_tokens(handshake)) or _only(query.getlist("token"))
    if token:
        principal = await tokens.verify(token)
    elif ticket := _only(query.getlist("ticket")):
        principal = await tickets.consume(ticket)
    else:
        raise unauthorized(
            "missing_token", "A token is required: Authorization header, subprotocol, ?token= or ?ticket=."
        )
    name_user(handshake.scope, principal.user_id)
    return principal


def bearer_token(request: HTTPConnection) -> str | None:
    """The token of an `Authorization: Bearer` header (RFC 6750 §2.1); raises Refusal if there are two."""
    scheme, _, token = (_only(_values(request, b"authorization")) or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def offered_subprotocols(handshake: HTTPConnection) -> list[str]:
    offered: list[str] = handshake.scope.get("subprotocols", [])
    return offered


def _offered_tokens(handshake: HTTPConnection) -> list[str]:
    """Browsers cannot set headers on a WebSocket, so a token may stand among the offered subprotocols."""
    offered = offered_subprotocols(handshake)
    return [name.removeprefix(_TOKEN_SUBPROTOCOL) for name in offered if name.startswith(_TOKEN_SUBPROTOCOL)]


def _values(handshake: HTTPConnection, name: bytes) -> list[str]:
    """Of a header, as they came."""
    return [value.decode("latin-1") for each, value in handshake.scope["headers"] if each == name]


def _only(found: Sequence[str]) -> str | None:
    if len(found) > 1:
        raise unauthorized("invalid_token", "More than one token was sent in the same place.")
    return found[0] if found else None


def check_origin(handshake: HTTPConnection, allowed: tuple[str, ...]) -> None:
    """Let a browser in only from the allowed origins, by default only from the host it talks to (RFC 6455 §10.2).

    A handshake without an Origin header does not come from a browser and passes. Neither does one from `wss://…`, which
    is no page's origin: some clients send the address that they connect to.

    Raises:
        Refusal: 403, `forbidden_origin`.
    """
    origins = _values(handshake, b"origin")
    if not origins:
        return
    origin = origins[0]
    if allowed and not origin.lower().startswith(("ws:", "wss:")):
        permitted = is_allowed(origin, allowed)
    else:
        hosts = _values(handshake, b"host")
        permitted = len(hosts) == 1 and _is_same_host(origin.lower(), hosts[0].lower())
    if not permitted:
        raise Refusal(403, "forbidden_origin", "This origin is not allowed.", close_code=1008)


def is_allowed(origin: str, allowed: tuple[str, ...]) -> bool:
    """Whether a browser's `Origin` is one of those in `ALLOWED_ORIGINS`."""
    plain = plain_origin(origin)
    return any(_matches(plain, pattern) for pattern in allowed)


def _matches(origin: str, pattern: str) -> bool:
    scheme, wildcard, domain = pattern.partition("*.")
    if not wildcard:
        return origin == pattern
    subdomain = origin.removeprefix(scheme).removesuffix(f".{domain}")
    return origin == f"{scheme}{subdomain}.{domain}" and _SUBDOMAIN.fullmatch(subdomain) is not None


def _is_same_host(origin: str, host: str) -> bool:
    try:
        theirs = urlsplit(origin)
        ours = urlsplit(f"{theirs.scheme}://{host}")
        default = DEFAULT_PORTS[theirs.scheme]
        return (
            theirs.hostname is not None
            and theirs.hostname == ours.hostname
            and (theirs.port or default) == (ours.port or default)
        )
    except (KeyError, ValueError):
        return False
