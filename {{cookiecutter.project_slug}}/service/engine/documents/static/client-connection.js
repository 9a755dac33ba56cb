/** One connection to one endpoint, for as long as it is wanted. */

import {
  absolute,
  ENDINGS,
  expiryOf,
  given,
  jitter,
  onWaking,
  PASSING,
  Problem,
  Progress,
  randomId,
  request,
} from "./client-protocol.js";

/**
 * @typedef {import("./client-protocol.js").Message} Message
 * @typedef {import("./client-protocol.js").State} State
 *
 * @typedef {object} Options
 * @property {string} url  Of the endpoint. In a page a path will do.
 * @property {string | (() => string | Promise<string>)} [token]  The user's token, or what gets one: asked for each
 *   connection, and again before the token expires.
 * @property {() => Promise<string>} [ticket]  Instead of `token`, where your own backend hands out tickets.
 * @property {boolean} [tickets]  `false` sends the token itself, as a subprotocol: one request less, but the token
 *   may end up in the log of a proxy.
 * @property {number} [after]  Your position in the stream: 0 for all of it, a `seq` for what came later, nothing for
 *   what comes from now on.
 * @property {(after: number, token?: string) => Promise<Message[]>} [history]  Fetches what is later than `after`, the
 *   oldest first, when a connection has missed more than it is sent: `historyOf` makes one.
 * @property {(message: Message) => void} [onMessage]  Each message once, a stream's in order. Answers to `deliver` and
 *   what connections say among themselves do not come here.
 * @property {(state: State) => void} [onState]
 * @property {(direction: "in" | "out", text: string) => void} [onFrame]  Every frame, to look at.
 * @property {number} [heartbeat]  Milliseconds of silence after which the server is asked for a sign of life (25,000).
 * @property {number} [patience]  How long it may take to give one, or to let us in (10,000).
 * @property {number} [backoff]  The longest first delay (500); it doubles up to 30 s. Delays are random below it.
 * @property {boolean} [counts]  `false` leaves it to `onMessage` to count: it is called with whatever is no business of
 *   the connection's own.
 * @property {typeof WebSocket} [WebSocket]  Another implementation, for Node before 22.
 */

/** A connection that has lived this long was a good one: the next loss is a new one. */
const STEADY = 10_000;
const RENEW_BEFORE = 30_000;
const LONGEST_TIMER = 2 ** 31 - 1;
/** Errors that may lack the `client_id` of the message they answer, because it could not be read. */
const UNREAD = new Set(["invalid_json", "invalid_message", "rate_limited"]);

/** Whether there are WebSockets. @param {{ WebSocket?: typeof WebSocket }} options */
export function hasSockets(options) {
  return Boolean(options.WebSocket ?? globalThis.WebSocket);
}

export class Connection {
  /** @type {State} */
  state = { name: "connecting" };

  #options;
  /** @type {WebSocket | null} */
  #socket = null;
  /** By the `stream` that messages name; `undefined` is the connection's own.
   * @type {Map<string | undefined, Progress>} */
  #progress = new Map();
  /** What comes while history is fetched. @type {Message[] | null} */
  #held = null;
  /** What is to be confirmed: the first is said, the others wait, so that their order stays.
   * @type {{ message: Message, resolve: (answer: Message) => void, reject: (problem: Problem) => void }[]} */
  #outbox = [];
  #asked = false;
  /** Whether something else was said since the last answer, so that an error that names nothing may mean that. */
  #doubt = false;
  #attempt = 0;
  #liveSince = Infinity;
  /** @type {number | undefined} */
  #delay;
  /** @type {string | undefined} */
  #token;
  /** The token that was refused, and why. @type {{ token?: string, why: string }} */
  #refused = { why: "" };
  /** @type {Record<string, ReturnType<typeof setTimeout>>} */
  #timers = {};
  #sleep;

  /** @param {Options} options */
  constructor(options) {
    this.#options = { heartbeat: 25_000, patience: 10_000, backoff: 500, ...options };
    this.#progress.set(undefined, new Progress(options.after));
    this.#sleep = onWaking(() => this.check());
    queueMicrotask(() => this.state.name === "connecting" && this.#open());
  }

  /** The last `seq` up to which nothing is missing: the `after` of a later visit. */
  get position() {
    return this.positionOf();
  }

  /**
   * The same of a stream that messages name in their field `stream`.
   * @param {string} [stream]
   * @returns {number | undefined}
   */
  positionOf(stream) {
    return this.#progress.get(stream)?.position;
  }

  /**
   * Says something once, if there is a connection now; returns whether there is.
   * @param {Message} message
   */
  send(message) {
    this.#doubt = true;
    return this.#say(message);
  }

  /**
   * Says something that is answered with its `client_id`, on as many connections as that takes.
   * @param {Message} message
   * @returns {Promise<Message>} the answer; rejects with a Problem if it is refused
   */
  deliver(message) {
    return new Promise((resolve, reject) => {
      this.#outbox.push({ message: { ...message, client_id: message.client_id ?? randomId() }, resolve, reject });
      this.#flush();
    });
  }

  /** Does not wait any longer for the next attempt. */
  retry() {
    if (this.state.name === "waiting") this.#open();
  }

  /** Looks at once whether the connection lives, or tries at once to have one: done by itself when a page wakes up. */
  check() {
    this.retry();
    if (this.#socket?.readyState === 1) this.#askForLife();
  }

  /** Ends it for good. */
  close() {
    this.#finish(1000, "closed here");
  }

  async #open() {
    this.#leave();
    this.#enter({ name: "connecting" });
    const state = this.state;
    try {
      if (!hasSockets(this.#options)) throw new TypeError("there is no WebSocket here: Node 22 has one, or pass yours");
      const [url, protocols] = await this.#address();
      if (this.state === state) this.#dial(url, protocols);
    } catch (error) {
      if (this.state === state) this.#notLetIn(error);
    }
  }

  /** @param {unknown} error */
  #notLetIn(error) {
    if (!(error instanceof Problem)) {
      this.#finish(1006, /** @type {Error} */ (error).message, error); // no such address, say
      return;
    }
    const { code, status, retryAfter, message } = error;
    if (status === 401) this.#refused = { token: this.#token, why: message };
    const final = status === 401 ? typeof this.#options.token !== "function" : status >= 400 && status < 429;
    if (final || code === "same_token") this.#finish(1008, message);
    else this.#wait(Math.max(retryAfter * 1000, this.#jitter()), 1006, message, error);
  }

  /** @returns {Promise<[URL, string[]]>} */
  async #address() {
    const url = absolute(this.#options.url);
    const protocols = ["live.v1"];
    const { position } = this;
    if (position !== undefined) url.searchParams.set("after", String(position));
    if (this.#options.ticket) {
      url.searchParams.set("ticket", await given("ticket", this.#options.ticket));
    } else if (this.#options.token !== undefined) {
      const token = await this.#nextToken();
      if (token === this.#refused.token) throw new Problem({ code: "same_token", message: this.#refused.why });
      this.#token = token;
      if (this.#options.tickets === false) {
        protocols.push(`bearer.${token}`);
      } else {
        const tickets = new URL("/api/tickets", url.href.replace(/^ws/, "http"));
        const { ticket } = await request(tickets, { method: "POST", token, timeout: this.#options.patience });
        url.searchParams.set("ticket", ticket);
      }
    }
    return [url, protocols];
  }

  #nextToken() {
    return given("token", this.#options.token);
  }

  /** @param {URL} url @param {string[]} protocols */
  #dial(url, protocols) {
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    const socket = new Socket(url, protocols);
    this.#socket = socket;
    this.#schedule("silence", this.#options.patience, () => this.#lost(1006, "no answer"));
    socket.onopen = () => {
      this.#listen();
      this.#renewBefore(expiryOf(this.#token));
      if (url.searchParams.has("after")) this.#enter({ name: "catching_up" });
      else this.#live();
    };
    socket.onmessage = ({ data }) => {
      this.#listen();
      this.#options.onFrame?.("in", data);
      this.#receive(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    socket.onerror = () => {}; // a close follows
  }

  /** @param {Message} message */
  #receive(message) {
    switch (message.type) {
      case "ping":
        return this.#say({ type: "pong" });
      case "pong":
        return undefined;
      case "authenticated":
        return this.#renewBefore(Date.parse(message.expires_at));
      case "reconnect":
        this.#delay = message.delay_ms;
        return undefined;
      default:
        return this.#options.counts === false ? this.#options.onMessage?.(message) : this.#count(message);
    }
  }

  /** @param {Message} message */
  #count(message) {
    switch (message.type) {
      case "caught_up":
        this.#progressOf(message).endsAt(message.seq);
        return message.stream === undefined ? this.#live() : undefined;
      case "history_gap":
        return message.stream === undefined ? this.#fill(message) : this.#skip(message);
      default:
        return this.#held ? this.#held.push(message) : this.#take(message);
    }
  }

  /** @param {Message} message */
  #take(message) {
    const answer = this.#settle(message);
    const news = !Number.isInteger(message.seq) || this.#progressOf(message).learn(message.seq, answer);
    if (news && !answer) this.#options.onMessage?.(message);
  }

  /** @param {Message} message */
  #progressOf({ stream }) {
    const name = typeof stream === "string" ? stream : undefined;
    const progress = this.#progress.get(name) ?? new Progress();
    this.#progress.set(name, progress);
    return progress;
  }

  /** Lets `onMessage` see to what a connection does not send. @param {Message} gap */
  #skip(gap) {
    this.#progressOf(gap).reach(gap.seq);
    this.#options.onMessage?.(gap);
  }

  /** Fetches what this connection will not send, while what it does send waits. @param {Message} gap */
  async #fill(gap) {
    const { history } = this.#options;
    const progress = this.#progressOf(gap);
    const socket = this.#socket;
    this.#held = [];
    try {
      while (history && (this.position ?? 0) < gap.seq) {
        const page = await history(this.position ?? 0, await this.#nextToken());
        if (socket !== this.#socket) return;
        page.forEach((message) => this.#take(message));
        progress.reach(page.at(-1)?.seq ?? gap.seq);
      }
    } catch (error) {
      if (socket === this.#socket) this.#lost(1006, `history: ${/** @type {Error} */ (error).message}`);
      return;
    }
    if (!history) this.#skip(gap);
    const held = this.#held;
    this.#held = null;
    held.forEach((message) => this.#take(message));
    this.#live();
  }

  #live() {
    this.#liveSince = Date.now();
    this.#enter({ name: "live" });
    this.#flush();
  }

  #flush() {
    const [first] = this.#outbox;
    if (first && !this.#asked && this.state.name === "live") {
      this.#asked = this.#say(first.message);
    }
  }

  /** Whether a message answers the first of the outbox. Errors are everybody's to see. @param {Message} message */
  #settle(message) {
    const [first] = this.#outbox;
    if (!first || !this.#asked) return false;
    const isError = message.type === "error";
    const unread = isError && UNREAD.has(message.code) && message.client_id === undefined;
    if (!unread && message.client_id !== first.message.client_id) return false;
    if (isError && (PASSING.has(message.code) || (unread && this.#doubt))) {
      this.#schedule("again", 500 + Math.random() * 1000, () => this.#again());
      return false;
    }
    clearTimeout(this.#timers.again);
    this.#outbox.shift();
    this.#asked = this.#doubt = false;
    if (isError) first.reject(new Problem(/** @type {any} */ (message)));
    else first.resolve(message);
    this.#flush();
    return !isError;
  }

  /** Says the first of the outbox again, which is stored once however often it is said. */
  #again() {
    this.#asked = this.#doubt = false;
    this.#flush();
  }

  /** @param {Message} message */
  #say(message) {
    if (this.#socket?.readyState !== 1) return false;
    const text = JSON.stringify(message);
    this.#options.onFrame?.("out", text);
    this.#socket.send(text);
    return true;
  }

  #listen() {
    this.#schedule("silence", this.#options.heartbeat, () => this.#askForLife());
  }

  #askForLife() {
    this.#say({ type: "ping" });
    this.#schedule("silence", this.#options.patience, () => this.#lost(1006, "no sign of life"));
  }

  /** @param {number | undefined} expiry */
  #renewBefore(expiry) {
    const left = (expiry ?? Infinity) - Date.now();
    if (left < 1000) return;
    this.#schedule("renewal", Math.max(left - RENEW_BEFORE, left / 2), async () => {
      const socket = this.#socket;
      const token = await Promise.resolve(this.#nextToken()).catch(() => undefined);
      if (socket !== this.#socket) return;
      if (token === undefined || token === this.#token) {
        this.#renewBefore(expiry);
      } else {
        this.#token = token;
        this.#say({ type: "authenticate", token });
      }
    });
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    if (Date.now() - this.#liveSince > STEADY) this.#attempt = 0;
    const first = this.#attempt === 0;
    const delay = this.#delay;
    const { means = "", then = "" } = ENDINGS[code] ?? {};
    const why = reason || means;
    this.#leave();
    if (then === "stop") {
      this.#finish(code, why);
      return;
    }
    if (then === "renew") this.#refused = { token: this.#token, why };
    const atOnce = first && (then === "renew" || then === "at once");
    this.#wait(delay ?? (atOnce ? 0 : this.#jitter()), code, why);
  }

  #jitter() {
    return jitter(this.#options.backoff, this.#attempt);
  }

  /** @param {number} delay @param {number} code @param {string} reason @param {unknown} [cause] */
  #wait(delay, code, reason, cause) {
    this.#attempt += 1;
    this.#enter({ name: "waiting", until: Date.now() + delay, attempt: this.#attempt, code, reason, cause });
    this.#schedule("retry", delay, () => this.retry());
  }

  /** @param {number} code @param {string} reason @param {unknown} [cause] */
  #finish(code, reason, cause) {
    this.#sleep();
    this.#leave();
    if (this.state.name !== "closed") this.#enter({ name: "closed", code, reason, cause });
    const problem = new Problem({ code: "closed", message: `Not confirmed: ${reason}` });
    this.#outbox.splice(0).forEach(({ reject }) => reject(problem));
  }

  /** Lets go of the socket, whatever its state. */
  #leave() {
    Object.values(this.#timers).forEach(clearTimeout);
    const socket = this.#socket;
    this.#socket = null;
    this.#held = null;
    this.#asked = this.#doubt = false;
    this.#delay = undefined;
    this.#liveSince = Infinity;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  /** @param {State} state */
  #enter(state) {
    this.state = state;
    this.#options.onState?.(state);
  }

  /** @param {string} name @param {number} delay @param {() => void} action */
  #schedule(name, delay, action) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(action, Math.min(delay, LONGEST_TIMER));
  }
}
