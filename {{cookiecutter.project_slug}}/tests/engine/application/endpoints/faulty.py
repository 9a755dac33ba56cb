"""Endpoints with the bugs that a team may write, and with what looks like one."""

import asyncio
from contextlib import AsyncExitStack

import structlog
from fastapi.requests import HTTPConnection

from service.engine.endpoints.parameters import Database
from service.engine.endpoints.router import AnonymousConnection, AuthenticatedConnection, Endpoints
from service.engine.foundation.problems import Problem, Unavailable
from tests.engine.application.messages import Entry, NewEntry
from tests.engine.application.rooms import ROOMS

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


@router.get("/api/bug", include_in_schema=False)
async def bug_over_http(request: HTTPConnection) -> None:
    """Puts all it knows into its traceback."""
    raise ValueError(f"{request.url} {request.headers}")


@router.websocket("/ws/problem-at-the-door")
async def problem_at_the_door(connection: Text) -> None:
    """A refusal of the team's own."""
    raise Problem("not_a_member", "Members only.", status=403)


@router.websocket("/ws/problem-inside")
async def problem_inside(connection: Text) -> None:
    """A refusal after the client was let in."""
    await connection.send("welcome")
    raise Problem("thrown_out", "That is all.", status=403)


@router.websocket("/ws/outage-inside")
async def outage_inside(connection: Text) -> None:
    """Something is needed that is not to be had, after the client was let in."""
    await connection.send("welcome")
    raise Unavailable


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
async def hoarder(connection: Text, database: Database) -> None:
    """Wants to keep a session as long as the connection lives."""

    async def answer(message: str | bytes) -> str | bytes:
        return message

    async with database.session():
        await connection.serve(answer)


@router.websocket("/ws/glutton")
async def glutton(connection: AuthenticatedConnection[NewEntry, Entry]) -> None:
    """Follows more than there is any use for."""

    async def ignore(_entry: NewEntry) -> None:
        pass

    async with AsyncExitStack() as subscriptions:
        for room in range(1000):
            await subscriptions.enter_async_context(connection.subscribed(ROOMS(room)))
        await connection.serve(ignore)
