"""What a team writes first: FastAPI, `send_json` to one client after the other."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
room: set[WebSocket] = set()


@app.websocket("/ws/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(f"Echo: {await websocket.receive_text()}")
    except WebSocketDisconnect:
        pass


@app.websocket("/ws/json")
async def json(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_json({"received": await websocket.receive_json(), "status": "ok"})
    except WebSocketDisconnect:
        pass


@app.websocket("/ws/room")
async def join(websocket: WebSocket) -> None:
    await websocket.accept()
    room.add(websocket)
    try:
        while True:
            message = await websocket.receive_json()
            for member in list(room):
                await member.send_json(message)
    except WebSocketDisconnect:
        pass
    finally:
        room.discard(websocket)
