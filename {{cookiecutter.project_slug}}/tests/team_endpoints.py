"""The service with more endpoints, some with the bugs a team may write: `python -m tests.team_endpoints serve`."""

import asyncio
import sys
from contextlib import AsyncExitStack

import structlog
from fastapi.requests import HTTPConnection

from service.__main__ import main
from service.database import Database
from service.endpoints import ROUTERS
from service.endpoints.dependencies import Comments
from service.messages import Comment, NewComment
from service.problems import Problem
from service.realtime.router import AnonymousConnection, AuthenticatedConnection, Endpoints, engine_of

router = Endpoints()
Text = AnonymousConnection[str | bytes, str | bytes]

_logger = structlog.get_logger(__name__)


@router.websocket("/ws/bug")
async def bug(connection: Text) -> None:
    """Any message runs into a bug."""

    async def fail(message: str | bytes) -> str:
        return str(1 / (len(message) - len(message)))

    await connection.serve(fail)


@router.websocket("/ws/bug-at-the-door")
async def bug_at_the_door(connection: Text) -> None:
    """A bug before the handshake is accepted."""
    raise KeyError("no such key")


@router.get("/api/bug")
async def bug_over_http(request: HTTPConnection) -> None:
    """Puts all it knows into its traceback."""
    raise ValueError(f"{request.url} {request.headers}")


@router.websocket("/ws/problem-at-the-door")
async def problem_at_the_door(connection: Text) -> None:
    """A refusal of the team's own."""
    raise Problem("not_a_member", "Members only.", status=403)


@router.websocket("/ws/sleep")
async def sleep(connection: Text) -> None:
    """Takes as many seconds for a message as it says."""

    async def slowly(message: str | bytes) -> str | bytes:
        try:
            await asyncio.sleep(float(message))
        finally:
            _logger.warning("the sleeper has cleaned up")
        return message

    await connection.serve(slowly)


@router.websocket("/ws/ticker")
async def ticker(connection: Text) -> None:
    """Only sends, and never looks whether anybody is there."""
    try:
        while True:
            await connection.send("tick")
            await asyncio.sleep(0.05)
    finally:
        _logger.warning("the ticker has cleaned up")


@router.websocket("/ws/waiter")
async def waiter(connection: Text) -> None:
    """Accepts, and waits for something that never comes."""
    await connection.send("waiting")
    try:
        await asyncio.Event().wait()
    finally:
        _logger.warning("the waiter has cleaned up")


@router.websocket("/ws/hoarder")
async def hoarder(connection: Text, request: HTTPConnection) -> None:
    """Wants to keep a session as long as the connection lives."""
    database: Database = engine_of(request).database

    async def answer(message: str | bytes) -> str | bytes:
        return message

    async with database.session():
        await connection.serve(answer)


@router.websocket("/ws/glutton")
async def glutton(connection: AuthenticatedConnection[NewComment, Comment], comments: Comments) -> None:
    """Follows more than there is any use for."""

    async def ignore(_comment: NewComment) -> None:
        pass

    async with AsyncExitStack() as subscriptions:
        for post in range(1000):
            await subscriptions.enter_async_context(connection.subscribed(comments.stream(post)))
        await connection.serve(ignore)


if __name__ == "__main__":
    ROUTERS.append(router)
    sys.exit(main())
