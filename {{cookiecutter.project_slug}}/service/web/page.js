/** The demo page: two users, each with a connection for comments and one for notifications. */

import { request } from "/client.js";
import { liveComments, notifications } from "/comments.js";
import { keep, tokensToTry, userOf } from "/tokens.js";

const MOST_FRAMES = 200;
const WORDS = {
  connecting: "Connecting",
  catching_up: "Catching up",
  live: "Live",
  waiting: "Reconnecting",
  closed: "Closed",
};

/** Keeps a box scrolled to its end, unless somebody has scrolled back to read. */
function follow(box) {
  let following = true;
  let last = 0;
  box.addEventListener("scroll", () => {
    following = box.scrollTop >= last && (following || box.scrollTop + box.clientHeight > box.scrollHeight - 20);
    last = box.scrollTop;
  });
  const scroll = () => following && box.scrollTo(0, box.scrollHeight);
  new MutationObserver(() => requestAnimationFrame(scroll)).observe(box, { childList: true, subtree: true });
}

class User {
  #token;
  #comments;
  #notifications;
  #shown = new Map();

  constructor(number, token) {
    const fragment = document.getElementById("user").content.cloneNode(true);
    this.number = number;
    this.root = fragment.querySelector("section");
    this.other = null;
    this.find("details").open = matchMedia("(min-width: 48rem)").matches;
    this.find(".command").textContent = `.venv/bin/python -m service token --user ${number} --scope notifications:write`;
    this.find(".token").addEventListener("submit", (event) => this.#change(event));
    this.find(".write").addEventListener("submit", (event) => this.#write(event));
    this.find("[name=bad]").addEventListener("click", () => this.#sendBad());
    this.find("[name=notify]").addEventListener("click", () => this.#notify());
    this.find("[name=retry]").addEventListener("click", () => this.#connect());
    this.find("[name=change]").addEventListener("click", () => this.#offerTokenField(this.find(".token").hidden));
    follow(this.find(".comments"));
    follow(this.find(".wire"));
    setInterval(() => this.#count(), 200);
    document.getElementById("users").append(fragment);
    this.use(token);
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  get id() {
    return this.#token && userOf(this.#token);
  }

  /** Goes on with another token: on the connection there is, if it is of the same user, who is asked for it in time. */
  use(token) {
    let user;
    try {
      user = userOf(token);
    } catch {
      this.#offerTokenField(true);
      if (token) this.find(".problem").textContent = "That is not a token.";
      if (this.#token) return;
      this.#call(`User ${this.number}`);
      this.find("[role=status]").textContent = "A token is needed";
      return;
    }
    const goesOn = user === this.id && this.#comments.state.name === "live";
    this.#token = token;
    this.#call(`User ${user}`);
    this.#offerTokenField(false);
    this.find(".problem").textContent = "";
    if (!goesOn) this.start();
  }

  #call(name) {
    this.find("h2").textContent = name;
    this.root.setAttribute("aria-label", name);
  }

  /** Begins anew, from the first comment of the post. */
  start() {
    this.#comments?.close();
    this.#notifications?.close();
    this.find(".comments ol").replaceChildren();
    this.find(".notifications").replaceChildren();
    this.#shown.clear();
    if (!this.#token) return;
    const token = () => this.#token;
    this.#comments = liveComments({
      post: Number(post.value),
      token,
      after: 0,
      onMessage: (message) => this.#take(message),
      onState: (state) => this.#tell(state),
      onFrame: (direction, text) => this.#log(direction, "comments", text),
    });
    this.#notifications = notifications({
      token,
      after: Number(localStorage.getItem(this.#readKey) ?? 0),
      onMessage: (message) => this.#take(message),
      onFrame: (direction, text) => this.#log(direction, "notifications", text),
    });
  }

  /** Where this browser remembers up to which notification its user has read. */
  get #readKey() {
    return `read by ${this.id}`;
  }

  #connect() {
    if (this.#comments.state.name === "closed") this.start();
    this.#comments.retry();
    this.#notifications.retry();
  }

  #take(message) {
    if (message.type === "comment") this.#show(message.seq, message.author_id, message.body);
    if (message.type === "notification") this.#showNotification(message);
    if (message.type === "error") this.#complain(message);
  }

  async #write(event) {
    event.preventDefault();
    const field = event.target.elements.body;
    const body = field.value;
    field.value = "";
    this.find(".problem").textContent = "";
    const item = this.#item(this.id, body);
    item.classList.add("unconfirmed");
    this.find(".comments ol").append(item);
    try {
      const { seq } = await this.#comments.deliver({ type: "new_comment", body });
      item.remove();
      this.#show(seq, this.id, body);
    } catch (problem) {
      item.remove();
      this.#complain(problem);
    }
  }

  #sendBad() {
    const sent = this.#comments.send({ type: "new_comment", text: "no body" });
    if (!sent) this.#complain({ code: "not_sent", message: "There is no connection now." });
  }

  #show(seq, author, body) {
    if (this.#shown.has(seq)) return;
    const item = this.#item(author, body);
    item.dataset.seq = seq;
    this.#shown.set(seq, item);
    const list = this.find(".comments ol");
    let earlier = list.lastElementChild;
    while (earlier && !(Number(earlier.dataset.seq) < seq)) earlier = earlier.previousElementSibling;
    if (earlier) earlier.after(item);
    else list.prepend(item);
  }

  #item(author, body) {
    const item = document.createElement("li");
    const who = document.createElement("b");
    const mine = String(author) === this.id;
    item.className = mine ? "mine" : "";
    who.textContent = mine ? "You" : `User ${author}`;
    item.append(who, ` ${body}`);
    return item;
  }

  #showNotification({ seq, data }) {
    const item = document.createElement("li");
    const read = document.createElement("button");
    read.textContent = "Read";
    read.addEventListener("click", () => this.#read(seq));
    item.dataset.seq = seq;
    item.append(`${data.text ?? JSON.stringify(data)} `, read);
    this.find(".notifications").prepend(item);
  }

  /** Everything up to `seq` is read. */
  #read(seq) {
    if (!this.#notifications.send({ type: "ack", seq })) return;
    localStorage.setItem(this.#readKey, seq);
    for (const item of this.root.querySelectorAll(".notifications li")) if (item.dataset.seq <= seq) item.remove();
    (this.find(".notifications button") ?? this.find("h3")).focus();
  }

  async #notify() {
    const id = this.other.id;
    if (id === undefined) {
      this.#complain({ code: "nobody", message: "The other user has no token yet." });
      return;
    }
    const user_id = /^\d+$/.test(id) ? Number(id) : id;
    const body = { user_id, data: { text: `User ${this.id} says hello.` } };
    try {
      await request("/api/notifications", { method: "POST", token: this.#token, body });
    } catch (problem) {
      this.#complain(problem);
    }
  }

  #change(event) {
    event.preventDefault();
    this.use(event.target.elements.token.value.trim());
    event.target.reset();
    remember();
    if (event.target.hidden) this.find("[name=body]").focus();
  }

  #offerTokenField(offered) {
    this.find(".token").hidden = !offered;
    this.find("[name=change]").ariaExpanded = String(offered);
  }

  #complain({ code, message }) {
    this.find(".problem").textContent = `${code}: ${message}`;
  }

  #tell(state) {
    this.root.dataset.state = state.name;
    this.find("[role=status]").textContent = state.reason ? `${WORDS[state.name]} (${state.reason})` : WORDS[state.name];
    const retry = this.find("[name=retry]");
    if (retry === document.activeElement && state.name === "live") this.find("[name=body]").focus();
    retry.hidden = ["catching_up", "live"].includes(state.name) || (state.name === "connecting" && retry.hidden);
    if (state.name === "live") this.find(".problem").textContent = "";
    this.#count();
  }

  #count() {
    const state = this.#comments?.state;
    const left = state?.name === "waiting" ? Math.max(0, state.until - Date.now()) : undefined;
    this.find(".countdown").textContent = left === undefined ? "" : `in ${(left / 1000).toFixed(1)} s`;
  }

  #log(direction, connection, text) {
    const wire = this.find(".wire");
    const line = document.createElement("p");
    const about = document.createElement("span");
    const arrow = direction === "in" ? "←" : "→";
    about.textContent = `${new Date().toLocaleTimeString("en-GB")} ${connection} ${arrow} `;
    line.className = text.startsWith('{"type":"error"') ? "problem" : direction;
    line.append(about, text.replace(/eyJ[\w.-]+/g, "eyJ…"));
    wire.append(line);
    while (wire.childNodes.length > MOST_FRAMES) wire.firstChild.remove();
  }

  get token() {
    return this.#token;
  }
}

function remember() {
  keep(users.map((user) => user.token ?? null));
}

const post = document.getElementById("post");
const given = new URLSearchParams(location.hash.slice(1));
if (given.has("post")) post.value = given.get("post");
const [first, second = first] = await tokensToTry();
const users = [new User(1, first), new User(2, second)];
[users[0].other, users[1].other] = [users[1], users[0]];
remember();
post.addEventListener("change", () => {
  if (post.checkValidity()) users.forEach((user) => user.start());
});
