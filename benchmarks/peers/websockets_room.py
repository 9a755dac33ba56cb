"""The `websockets` library's own server, and its `broadcast`."""

import json
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

room: set[ServerConnection] = set()


async def handler(websocket: ServerConnection) -> None:
    assert websocket.request is not None
    match websocket.request.path:
        case "/ws/echo":
            async for message in websocket:
                await websocket.send(f"Echo: {message!s}")
        case "/ws/json":
            async for message in websocket:
                await websocket.send(json.dumps({"received": json.loads(message), "status": "ok"}))
        case _:
            room.add(websocket)
            try:
                async for message in websocket:
                    broadcast(room, json.dumps(json.loads(message)))
            finally:
                room.discard(websocket)


async def main(port: int) -> None:
    async with serve(handler, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
