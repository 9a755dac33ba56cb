"""What a handshake carries: its token, and the origin it comes from."""

import re
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from service.auth.principal import Principal
from service.auth.tickets import Tickets
from service.auth.tokens import Tokens, unauthorized
from service.problems import Refusal

SUBPROTOCOL = "live.v1"
_TOKEN_SUBPROTOCOL = "bearer."  # noqa: S105 - a prefix
_SUBDOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


async def authenticate(handshake: HTTPConnection, tokens: Tokens, tickets: Tickets) -> Principal:
    """The principal of a handshake: the first of header, subprotocol, `?token=` and `?ticket=` decides.

    Raises:
        Refusal: 401, `missing_token`, `expired_token`, `invalid_token` or `invalid_ticket`.
        Unavailable: What is needed to tell cannot be read.
    """
    token = bearer_token(handshake) or _offered_token(handshake) or handshake.query_params.get("token")
    if token:
        return await tokens.verify(token)
    if ticket := handshake.query_params.get("ticket"):
        return await tickets.consume(ticket)
    raise unauthorized("missing_token", "A token is required: Authorization header, subprotocol, ?token= or ?ticket=.")


def bearer_token(request: HTTPConnection) -> str | None:
    """The token of an `Authorization: Bearer` header (RFC 6750 §2.1)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def offered_subprotocols(handshake: HTTPConnection) -> list[str]:
    offered: list[str] = handshake.scope.get("subprotocols", [])
    return offered


def _offered_token(handshake: HTTPConnection) -> str | None:
    """Browsers cannot set headers on a WebSocket, so a token may stand among the offered subprotocols."""
    for offered in offered_subprotocols(handshake):
        if offered.startswith(_TOKEN_SUBPROTOCOL):
            return offered.removeprefix(_TOKEN_SUBPROTOCOL)
    return None


def check_origin(handshake: HTTPConnection, allowed: tuple[str, ...]) -> None:
    """Let a browser in only from the allowed origins, by default only from the host it talks to (RFC 6455 §10.2).

    A handshake without an Origin header does not come from a browser and passes.

    Raises:
        Refusal: 403, `forbidden_origin`.
    """
    origin = handshake.headers.get("origin")
    if origin is None:
        return
    if allowed:
        permitted = any(_matches(origin.lower(), pattern) for pattern in allowed)
    else:
        permitted = _is_same_host(origin.lower(), handshake.headers.get("host", "").lower())
    if not permitted:
        raise Refusal(403, "forbidden_origin", "This origin is not allowed.", close_code=1008)


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
        default = _DEFAULT_PORTS[theirs.scheme]
        return (
            theirs.hostname is not None
            and theirs.hostname == ours.hostname
            and (theirs.port or default) == (ours.port or default)
        )
    except (KeyError, ValueError):
        return False
