"""What a token says of its bearer, for tokens with a scope."""

from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.engine.endpoints.security import requires_scope
from tests.engine.application.messages import Profile, Who

router = Endpoints()


@router.websocket("/ws/profile", dependencies=[requires_scope("profile:read")])
async def profile(connection: AuthenticatedConnection[Who, Profile]) -> None:
    """See what your token says."""

    async def tell(_who: Who) -> Profile:
        principal = connection.principal
        return Profile(user_id=connection.user_id, scopes=sorted(principal.scopes), claims=dict(principal.claims))

    await connection.serve(tell)
