"""picows, the fastest WebSocket library for Python: Cython, no handshake of the application's own."""

import json
import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

room: set[WSTransport] = set()


class Echo(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, b"Echo: " + frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class Json(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            answer = {"received": json.loads(frame.get_payload_as_memoryview().tobytes()), "status": "ok"}
            transport.send(WSMsgType.TEXT, json.dumps(answer).encode())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class Room(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        room.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        room.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            message = json.dumps(json.loads(frame.get_payload_as_bytes())).encode()
            for member in room:
                member.send(WSMsgType.TEXT, message)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


def listener(request: WSUpgradeRequest) -> WSListener:
    return {b"/ws/echo": Echo, b"/ws/json": Json}.get(request.path, Room)()


async def main(port: int) -> None:
    server = await ws_create_server(listener, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
