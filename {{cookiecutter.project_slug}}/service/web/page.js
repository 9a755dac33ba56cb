/** The demo page: two users, each with a connection for all posts, one to write, and one for notifications. */

import { connect, request } from "/client.js";
import { commentsOf, liveComments, notifications, postComment } from "/comments.js";
import { People } from "/people.js";
import { keep, tokensToTry, userOf } from "/tokens.js";

const MOST_FRAMES = 200;
/** Where both users have room for everything; on a phone, both are in sight and the rest is folded. */
const wide = matchMedia("(min-width: 48rem)");
/** Milliseconds from one sign of typing to the next. */
const TYPING_EVERY = 2000;
const WORDS = {
  connecting: "Connecting",
  catching_up: "Catching up",
  live: "Live",
  waiting: "Reconnecting",
  closed: "Closed",
};

/** Sockets that get nowhere while the box is ticked, as behind a proxy that does not know them. */
class BlockableSocket extends WebSocket {
  static #open = new Set();

  constructor(url, protocols) {
    super(blocked.checked ? "/ws/blocked" : url, protocols);
    BlockableSocket.#open.add(this);
    this.addEventListener("close", () => BlockableSocket.#open.delete(this));
  }

  static cut() {
    for (const socket of BlockableSocket.#open) socket.close();
  }
}

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
  #live;
  #writer;
  #notifications;
  /** What is followed of each post, and the list that shows it. */
  #posts = new Map();
  #post;
  #transport = "socket";
  /** Comments that nobody has confirmed, by their `client_id`. */
  #unconfirmed = new Map();

  constructor(number, token) {
    const fragment = document.getElementById("user").content.cloneNode(true);
    this.number = number;
    this.root = fragment.querySelector("section");
    this.other = null;
    for (const details of this.root.querySelectorAll("details")) details.open = wide.matches;
    wide.addEventListener("change", () => (this.find(".more").open = wide.matches));
    this.find(".command").textContent = `.venv/bin/python -m service token --user ${number} --scope notifications:write`;
    this.find(".token").addEventListener("submit", (event) => this.#change(event));
    this.find(".write").addEventListener("submit", (event) => this.#write(event));
    this.find("[name=body]").addEventListener("input", (event) => event.target.value && this.#type());
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
    const goesOn = user === this.id && this.#live.state.name === "live";
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

  /** Begins anew, from the first comment of each post. */
  start() {
    for (const connection of [this.#live, this.#writer, this.#notifications]) connection?.close();
    this.#posts.clear();
    this.#unconfirmed.clear();
    this.find(".notifications").replaceChildren();
    this.find(".posts").replaceChildren();
    this.find(".comments ol").replaceChildren();
    if (!this.#token) return;
    const common = { token: () => this.#token, WebSocket: BlockableSocket };
    const live = (this.#live = connect({
      ...common,
      onState: () => live === this.#live && this.#tell(),
      onFrame: (direction, text) => this.#log(direction, "streams", text),
    }));
    this.#notifications = notifications({
      ...common,
      after: Number(localStorage.getItem(this.#readKey) ?? 0),
      onMessage: (message) => this.#take(message),
      onFrame: (direction, text) => this.#log(direction, "notifications", text),
    });
    for (const post of wanted()) this.#follow(post);
    this.#turnTo(wanted()[0]);
  }

  /** @param {number} post */
  #follow(post) {
    const live = this.#live;
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => this.#turnTo(post));
    const people = new People(this.id, () => this.#showPeople());
    const list = document.createElement("ol");
    const followed = { list, shown: new Map(), unseen: 0, button, people, typedAt: -Infinity, subscription: null };
    this.#posts.set(post, followed);
    followed.subscription = live.subscribe(commentsOf(post), {
      after: 0,
      presence: true,
      onEvent: ({ seq, author_id, body }) => this.#show(post, seq, author_id, body),
      onPresence: () => this.#showPeople(),
      onSignal: ({ user_id, data }) => data.typing && people.types(user_id),
      onState: () => live === this.#live && this.#tell(),
    });
    if (wanted().length > 1) this.find(".posts").append(button);
  }

  /** Shows a post, and writes on it from now on. @param {number} post */
  #turnTo(post) {
    this.#post = post;
    const followed = this.#posts.get(post);
    followed.unseen = 0;
    this.find(".comments").replaceChildren(followed.list);
    this.#label();
    this.#writer?.close();
    this.#writer = liveComments({
      post,
      token: () => this.#token,
      WebSocket: BlockableSocket,
      onMessage: (message) => this.#take(message),
      onState: (state) => state.name === "closed" && state.reason !== "closed here" && this.#tell(state),
      onFrame: (direction, text) => this.#log(direction, `post ${post}`, text),
    });
    this.#tell();
  }

  #label() {
    for (const [post, { button, unseen }] of this.#posts) {
      button.textContent = unseen ? `Post ${post}: ${unseen} new` : `Post ${post}`;
      button.ariaPressed = String(post === this.#post);
    }
  }

  /** Where this browser remembers up to which notification its user has read. */
  get #readKey() {
    return `read by ${this.id}`;
  }

  #connect() {
    if ([this.#live, this.#writer].some(({ state }) => state.name === "closed")) this.start();
    for (const connection of [this.#live, this.#writer, this.#notifications]) connection.retry();
  }

  #take(message) {
    if (message.type === "notification") this.#showNotification(message);
    if (message.type === "error") this.#complain(message);
  }

  #write(event) {
    event.preventDefault();
    const field = event.target.elements.body;
    const post = this.#post;
    const item = this.#item(this.id, field.value);
    item.classList.add("unconfirmed");
    this.#posts.get(post).list.append(item);
    const client_id = Array.from(crypto.getRandomValues(new Uint32Array(4))).join("-");
    const comment = { post, body: field.value, item };
    this.#unconfirmed.set(client_id, comment);
    field.value = "";
    this.#posts.get(post).typedAt = -Infinity;
    this.find(".problem").textContent = "";
    this.#deliver(client_id, comment);
  }

  /** By the socket, if it is of this post, or by HTTP. Both may happen: the same `client_id` is stored once. */
  async #deliver(client_id, { post, body, item }) {
    const writer = this.#writer;
    const token = this.#token;
    try {
      const { seq } =
        this.#live.transport === "socket" && post === this.#post
          ? await writer.deliver({ type: "new_comment", body, client_id })
          : await postComment({ post, token, body, client_id });
      if (this.#unconfirmed.delete(client_id)) this.#show(post, seq, this.id, body);
      item.remove();
    } catch (problem) {
      if (!this.#unconfirmed.has(client_id)) return;
      const isLeft = problem.code === "closed" && writer !== this.#writer;
      if (isLeft || problem.code === "no_answer" || problem.status >= 429) {
        setTimeout(() => this.#deliverAgain(client_id), 1000);
        return;
      }
      this.#unconfirmed.delete(client_id);
      item.remove();
      this.#complain(problem);
    }
  }

  #deliverAgain(client_id) {
    const comment = this.#unconfirmed.get(client_id);
    if (comment) this.#deliver(client_id, comment);
  }

  /** Tells the others on the post. */
  #type() {
    const followed = this.#posts.get(this.#post);
    const now = performance.now();
    if (now - followed.typedAt < TYPING_EVERY) return;
    if (followed.subscription.signal({ typing: true })) followed.typedAt = now;
  }

  #sendBad() {
    const hasSocket = this.#live.state.name === "live" && this.#live.transport === "socket";
    if (!hasSocket) this.#complain({ code: "not_sent", message: "There is no connection now." });
    else this.#writer.deliver({ type: "new_comment", text: "no body" }).catch((problem) => this.#complain(problem));
  }

  #show(post, seq, author, body) {
    const { shown, list, people } = this.#posts.get(post) ?? {};
    if (!shown || shown.has(seq)) return;
    people.rests(author);
    const item = this.#item(author, body);
    item.dataset.seq = seq;
    shown.set(seq, item);
    let earlier = list.lastElementChild;
    while (earlier && !(Number(earlier.dataset.seq) < seq)) earlier = earlier.previousElementSibling;
    if (earlier) earlier.after(item);
    else list.prepend(item);
    if (post === this.#post || this.#posts.get(post).subscription?.state.name !== "live") return;
    this.#posts.get(post).unseen += 1;
    this.#label();
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

  /** How the post that is shown is followed. */
  get #state() {
    const { state } = this.#live;
    const followed = this.#posts.get(this.#post)?.subscription?.state;
    if (followed?.name === "closed") return followed;
    return state.name === "live" && followed?.name !== "live" ? { name: "catching_up" } : state;
  }

  #tell(state = this.#state) {
    const { transport } = this.#live;
    this.root.dataset.state = state.name;
    this.find("[role=status]").textContent = state.reason ? `${WORDS[state.name]} (${state.reason})` : WORDS[state.name];
    this.find(".transport").textContent = transport === "sse" ? "by server-sent events" : "by WebSocket";
    if (this.#transport !== transport) {
      this.#transport = transport;
      if (transport === "sse") for (const client_id of this.#unconfirmed.keys()) this.#deliverAgain(client_id);
    }
    const retry = this.find("[name=retry]");
    if (retry === document.activeElement && state.name === "live") this.find("[name=body]").focus();
    retry.hidden = ["catching_up", "live"].includes(state.name) || (state.name === "connecting" && retry.hidden);
    if (state.name === "live") this.find(".problem").textContent = "";
    this.#showPeople();
    this.#count();
  }

  /** On the post that is shown; what is not up to date is not shown. */
  #showPeople() {
    const { people, subscription } = this.#posts.get(this.#post) ?? {};
    const isKnown = this.#live.transport === "socket" && subscription?.state.name === "live";
    this.find(".here").textContent = isKnown ? people.here(subscription) : "";
    this.find(".typing").textContent = people?.typing ?? "";
  }

  #count() {
    const state = this.#live?.state;
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

const posts = document.getElementById("posts");
const blocked = document.getElementById("blocked");
const wanted = () => [...new Set(posts.value.split(",").map(Number))];
const given = new URLSearchParams(location.hash.slice(1));
if (given.has("post")) posts.value = given.getAll("post").join(", ");
const [first, second = first] = await tokensToTry();
const users = [new User(1, first), new User(2, second)];
[users[0].other, users[1].other] = [users[1], users[0]];
remember();
posts.addEventListener("change", () => {
  if (posts.checkValidity()) users.forEach((user) => user.start());
});
blocked.addEventListener("change", () => BlockableSocket.cut());
