"""The JavaScript client in a Node process of its own, driven by a test."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.engine.kit.commands import PROJECT
from tests.engine.kit.javascript import NODE

CLIENT = PROJECT / "service" / "engine" / "documents" / "static" / "client.js"
DRIVER = Path(__file__).parent / "client_driver.mjs"
Event = dict[str, Any]


class JavaScriptClient:
    """A client in a Node process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[Event] = []

    def tell(self, command: str, argument: Any = None) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({command: argument}).encode() + b"\n")

    async def event(self, kind: str, within: float = 15) -> Any:
        """The next event of a kind; others are kept in `events`."""
        assert self._process.stdout
        async with asyncio.timeout(within):
            while line := await self._process.stdout.readline():
                self.events.append(json.loads(line))
                if kind in self.events[-1]:
                    return self.events[-1][kind]
        raise AssertionError(f"no {kind}: the client ended after {self.events}")

    async def state(self, name: str, within: float = 15) -> Event:
        """The next state of this name."""
        async with asyncio.timeout(within):
            while (state := await self.event("state", within))["name"] != name:
                pass
        assert isinstance(state, dict)
        return state

    async def messages(self, count: int) -> list[Event]:
        return [await self.event("message") for _ in range(count)]

    def subscribe(self, stream: str, after: int | None = None, *, presence: bool = False) -> None:
        self.tell("subscribe", [stream, after, presence])

    async def signal(self, stream: str, data: Any) -> bool:
        """Signal; returns whether there was anything to signal by."""
        self.tell("signal", [stream, data])
        return bool(await self.event("signalled"))

    async def stream(self, stream: str, name: str, within: float = 15) -> Event:
        """The next state of this name that a stream enters."""
        async with asyncio.timeout(within):
            while (state := await self.event("stream", within))["name"] != name or state["stream"] != stream:
                pass
        assert isinstance(state, dict)
        return state

    async def stream_events(self, count: int) -> list[Event]:
        """The next events of streams, whichever."""
        return [await self.event("event") for _ in range(count)]

    async def asked(self, command: str, argument: Any = None) -> Any:
        """What a command of this name tells."""
        self.tell(command, argument)
        return await self.event(command)

    async def deliver(self, message: dict[str, Any]) -> Event:
        """Have a message delivered, and return its answer."""
        self.tell("deliver", message)
        answer = await self.event("answer")
        assert isinstance(answer, dict)
        return answer


@asynccontextmanager
async def started(module: Path = CLIENT, **options: Any) -> AsyncIterator[JavaScriptClient]:
    """A client with these options: `connect(options)`, or what `kind` names, of a module."""
    process = await asyncio.create_subprocess_exec(
        NODE,
        DRIVER,
        json.dumps({"module": module.as_uri()} | options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        limit=2**24,
    )
    try:
        yield JavaScriptClient(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
