"""python-socketio on uvicorn: its own protocol on top of WebSocket, with rooms and an event name in each message."""

from typing import Any

import socketio

server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])
app = socketio.ASGIApp(server)


@server.event
async def connect(sid: str, _environ: dict[str, Any]) -> None:
    await server.enter_room(sid, "room")


@server.event
async def echo(sid: str, message: str) -> None:
    await server.emit("echo", f"Echo: {message}", to=sid)


@server.event
async def json(sid: str, message: Any) -> None:
    await server.emit("json", {"received": message, "status": "ok"}, to=sid)


@server.event
async def room(_sid: str, message: Any) -> None:
    await server.emit("room", message, room="room")
