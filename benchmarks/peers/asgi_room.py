"""The least an ASGI application can do: no framework, a message encoded once for the whole room."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

room: set[Send] = set()


async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    answer = {"/ws/echo": echo, "/ws/json": envelope, "/ws/room": publish}[scope["path"]]
    if answer is publish:
        room.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            await answer(event["text"], send)
    finally:
        room.discard(send)


async def echo(text: str, send: Send) -> None:
    await send({"type": "websocket.send", "text": f"Echo: {text}"})


async def envelope(text: str, send: Send) -> None:
    await send({"type": "websocket.send", "text": json.dumps({"received": json.loads(text), "status": "ok"})})


async def publish(text: str, _send: Send) -> None:
    event = {"type": "websocket.send", "text": json.dumps(json.loads(text))}
    for member in list(room):
        await member(event)
