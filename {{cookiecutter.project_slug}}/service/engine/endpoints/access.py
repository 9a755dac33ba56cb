"""Access: tickets for browsers, and the way to throw a user out."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from starlette.convertors import Convertor, register_url_convertor

from service.engine.auth.tickets import TICKET_SECONDS
from service.engine.endpoints.parameters import Runtime
from service.engine.endpoints.security import CurrentUser, requires_scope


class _UserConvertor(Convertor[str]):
    """Any text: a user's name may hold slashes and line breaks."""

    regex = "(?s:.+)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class Ticket(BaseModel):
    """Good for one handshake (`?ticket=…`), for a short time."""

    ticket: str
    expires_in: int = TICKET_SECONDS


def access() -> APIRouter:
    """The router. A function, because Starlette knows convertors by names that are the whole process's."""
    register_url_convertor("user", _UserConvertor())
    router = APIRouter()

    @router.post("/api/tickets")
    async def issue(user: CurrentUser, runtime: Runtime) -> Ticket:
        """A ticket for the bearer of the token: the way for browsers, whose addresses end up in logs and histories."""
        return Ticket(ticket=await runtime.tickets.issue(user))

    @router.post(
        "/api/users/{user_id:user}/disconnect",
        status_code=204,
        dependencies=[requires_scope("connections:write")],
    )
    async def disconnect(
        user_id: Annotated[str, Path(max_length=255, description="As the `sub` of the user's tokens")], runtime: Runtime
    ) -> None:
        """Close all connections of a user, on every process, and refuse the tokens and tickets they have now."""
        await runtime.disconnect(user_id)

    return router
