// ws, the WebSocket library most Node.js services use.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]) });
const room = new Set();

const answers = {
  "/ws/echo": (socket, text) => socket.send(`Echo: ${text}`),
  "/ws/json": (socket, text) => socket.send(JSON.stringify({ received: JSON.parse(text), status: "ok" })),
  "/ws/room": (_socket, text) => {
    const message = JSON.stringify(JSON.parse(text));
    for (const member of room) member.send(message);
  },
};

server.on("connection", (socket, request) => {
  const answer = answers[request.url];
  if (request.url === "/ws/room") room.add(socket);
  socket.on("message", (data) => answer(socket, data.toString()));
  socket.on("close", () => room.delete(socket));
});
