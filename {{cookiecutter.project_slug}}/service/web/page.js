/** The demo page: connects with the token in the address's fragment, and shows what comes and goes. */

const element = (id) => document.getElementById(id);

let socket = null;
let position = 0;

function show(list, text) {
  const item = document.createElement("li");
  item.textContent = text;
  list.append(item);
  item.scrollIntoView({ block: "nearest" });
}

function log(arrow, text) {
  element("wire").append(`${arrow} ${text}\n`);
}

function send(message) {
  const text = JSON.stringify(message);
  log("→", text);
  socket.send(text);
}

function take(message) {
  switch (message.type) {
    case "ping":
      return send({ type: "pong" });
    case "comment":
      position = Math.max(position, message.seq);
      return show(element("comments"), `${message.author_id}: ${message.body}`);
    case "comment_created":
      position = Math.max(position, message.seq);
      return undefined;
    case "error":
      return show(element("comments"), `${message.code}: ${message.message}`);
    default:
      return undefined;
  }
}

function connect() {
  socket?.close();
  const path = `/ws/live-comments/${element("post").value}?after=${position}`;
  const mine = new WebSocket(path, ["live.v1", `bearer.${element("token").value}`]);
  socket = mine;
  element("state").textContent = "connecting";
  mine.onopen = () => {
    element("state").textContent = "live";
  };
  mine.onmessage = (event) => {
    log("←", event.data);
    take(JSON.parse(event.data));
  };
  mine.onclose = (event) => {
    if (socket === mine) element("state").textContent = `closed (${event.code} ${event.reason})`;
  };
}

element("connect").addEventListener("submit", (event) => {
  event.preventDefault();
  position = 0;
  element("comments").replaceChildren();
  connect();
});

element("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = element("body").value;
  send({ type: "new_comment", body, client_id: crypto.randomUUID() });
  show(element("comments"), `you: ${body}`);
  element("body").value = "";
});

const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  history.replaceState(null, "", location.pathname);
  element("token").value = token;
  connect();
}
