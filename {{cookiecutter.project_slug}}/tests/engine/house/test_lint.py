"""What the contract forbids cannot be written by mistake: the linter, or the type checker, catches it."""

import subprocess
import sys

import pytest

from tests.engine.kit.commands import PROJECT

WRONG = {
    "a socket by hand": (
        "from fastapi import APIRouter, WebSocket\n",
        "async def chat(websocket: WebSocket) -> None:\n    await websocket.accept()\n",
    ),
    "a socket by hand, from Starlette": (
        "from starlette.websockets import WebSocket, WebSocketDisconnect\n",
        "async def chat(websocket: WebSocket) -> None:\n    await websocket.accept()\n",
    ),
    "a session that lives as long as the connection": (
        "from fastapi import Depends\nfrom sqlalchemy.ext.asyncio import AsyncSession\n",
        "async def chat(session: AsyncSession = Depends()) -> None:\n    await session.commit()\n",
    ),
    "a synchronous session": (
        "from sqlalchemy.orm import Session\n",
        "async def chat(session: Session) -> None:\n    session.commit()\n",
    ),
    "an engine of one's own": (
        "from sqlalchemy import create_engine\n",
        "ENGINE = create_engine('postgresql://localhost/x')\n",
    ),
    "a blocking sleep": ("import time\n", "async def chat() -> None:\n    time.sleep(1)\n"),
}
RIGHT = '''"""An endpoint of a team's own."""

from service.engine.endpoints.router import AuthenticatedConnection, Endpoints

router = Endpoints()


@router.websocket("/ws/chat")
async def chat(connection: AuthenticatedConnection[str | bytes, str | bytes]) -> None:
    """Say nothing."""
'''


def lint(code: str) -> subprocess.CompletedProcess[str]:
    """Check code as if it stood in a file of the endpoints."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise"]
    return subprocess.run(
        [*command, "--stdin-filename", "service/endpoints/chat.py", "-"],
        cwd=PROJECT,
        input=code,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(("imports", "body"), WRONG.values(), ids=WRONG.keys())
def test_the_wrong_way_to_write_an_endpoint_is_caught(imports: str, body: str) -> None:
    found = lint(f'"""An endpoint."""\n\n{imports}\n\n{body}')
    assert found.returncode == 1, found.stdout
    assert "TID251" in found.stdout or "ASYNC251" in found.stdout, found.stdout


def test_the_right_way_is_let_through() -> None:
    found = lint(RIGHT)
    assert (found.returncode, found.stdout) == (0, "All checks passed!\n")


@pytest.mark.parametrize("name", ["rooms", "letters", "clubs", "profile"])
def test_endpoints_that_do_something_are_let_through_too(name: str) -> None:
    endpoint = PROJECT / "tests" / "engine" / "application" / "endpoints" / f"{name}.py"
    assert lint(endpoint.read_text()).stdout == "All checks passed!\n"
