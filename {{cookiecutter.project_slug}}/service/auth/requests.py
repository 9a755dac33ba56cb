"""Who is behind an HTTP request, as parameter types of endpoints."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from service.auth.handshake import bearer_token
from service.auth.principal import Principal
from service.auth.tokens import Tokens, unauthorized
from service.problems import Problem

_BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT")


async def authenticated(request: Request, _: Annotated[Any, Security(_BEARER)]) -> Principal:
    """The principal of a request; raises Refusal (401)."""
    token = bearer_token(request)
    if not token:
        raise unauthorized("missing_token", "A token is required in the Authorization header.")
    tokens: Tokens = request.app.state.engine.tokens
    return await tokens.verify(token)


CurrentUser = Annotated[Principal, Depends(authenticated)]


def requires_scope(scope: str) -> Callable[[Principal], Awaitable[None]]:
    """A dependency that refuses tokens without `scope` in their `scope` claim (RFC 8693 §4.2)."""

    async def check(user: CurrentUser) -> None:
        if scope not in user.scopes:
            raise Problem("insufficient_scope", f"The token lacks the scope {scope}.", status=403)

    return check
