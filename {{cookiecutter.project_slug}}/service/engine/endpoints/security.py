"""Who is behind an HTTP request, and what a token must allow, as parameter types and dependencies of endpoints."""

from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes

from service.engine.auth.handshake import bearer_token
from service.engine.auth.principal import Principal
from service.engine.auth.tokens import unauthorized
from service.engine.endpoints.service_app import runtime_of
from service.engine.foundation.operations import name_user
from service.engine.foundation.problems import insufficient_scope

BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT")


async def authenticated(request: Request, required: SecurityScopes, _: Annotated[Any, Security(BEARER)]) -> Principal:
    """The principal of a request, whose token has every scope that the endpoint asks for.

    Raises:
        Refusal: 401, there is no token, or it does not count.
        Problem: 403, `insufficient_scope`.
        Unavailable: What is needed to tell cannot be read.
    """
    token = bearer_token(request)
    if not token:
        raise unauthorized("missing_token", "A token is required in the Authorization header.")
    principal = await runtime_of(request).tokens.verify(token)
    name_user(request.scope, principal.user_id)
    for scope in required.scopes:
        if scope not in principal.scopes:
            raise insufficient_scope(scope)
    return principal


CurrentUser = Annotated[Principal, Depends(authenticated)]


def requires_scope(scope: str) -> Any:
    """A dependency that refuses tokens without `scope` in their `scope` claim (RFC 8693 §4.2), for HTTP and sockets."""
    return Security(authenticated, scopes=[scope])
