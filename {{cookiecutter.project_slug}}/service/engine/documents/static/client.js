/**
 * A client for the WebSocket endpoints of this service, for browsers and Node 22 or later. No dependencies.
 *
 *     const connection = connect({
 *       url: "/ws/rooms/1",
 *       token: () => tokenOfMyUser(),
 *       after: 0,
 *       onMessage: (message) => console.log(message),
 *       onState: (state) => console.log(state.name),
 *     });
 *     await connection.deliver({ type: "new_entry", body: "Hello" });
 *     connection.close();
 *
 * It notices a dead server, comes back where it left off, says again what was not confirmed, and shows a new token
 * before the old one expires. It speaks docs/protocol.md.
 */

/**
 * @typedef {{ type: string, [field: string]: any }} Message
 *
 * @typedef {{ name: "connecting" | "catching_up" | "live" }
 *   | { name: "waiting", until: number, attempt: number, code: number, reason: string }
 *   | { name: "closed", code: number, reason: string }} State
 *   `until`: when it tries again, in milliseconds since 1970.
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
 * @property {typeof WebSocket} [WebSocket]  Another implementation, for Node before 22.
 */

/**
 * How a connection ends: what its close code means where the server gives no reason, and what happens then. After any
 * other code it backs off and tries again.
 * @type {Record<number, { means: string, then: "stop" | "renew" | "delay" | "at once" }>}
 */
export const ENDINGS = {
  1000: { means: "closed by the service", then: "stop" },
  1003: { means: "this endpoint speaks JSON in text frames", then: "stop" },
  1007: { means: "text that is not UTF-8", then: "stop" },
  1008: { means: "refused", then: "renew" },
  1009: { means: "message too big", then: "stop" },
  1012: { means: "restarting", then: "delay" },
  4403: { means: "refused", then: "stop" },
  4408: { means: "heartbeat timeout", then: "at once" },
};

const LONGEST_DELAY = 30_000;
/** A connection that has lived this long was a good one: the next loss is a new one. */
const STEADY = 10_000;
const RENEW_BEFORE = 30_000;
const LONGEST_TIMER = 2 ** 31 - 1;
/** Errors that say "not now" of a message, which is then said again. */
const PASSING = new Set(["unavailable", "rate_limited"]);
/** Errors that may lack the `client_id` of the message they answer, because it could not be read. */
const UNREAD = new Set(["invalid_json", "invalid_message", "rate_limited"]);

/** What the service refused, in its words. */
export class Problem extends Error {
  /** @param {{ code: string, message: string }} error @param {{ status?: number, retryAfter?: number }} [answer] */
  constructor({ code, message }, { status = 0, retryAfter = 0 } = {}) {
    super(message);
    this.name = "Problem";
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * Connects, and stays connected until told otherwise.
 * @param {Options} options
 */
export function connect(options) {
  return new Connection(options);
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
  #retry = () => this.retry();

  /** @param {Options} options */
  constructor(options) {
    this.#options = { heartbeat: 25_000, patience: 10_000, backoff: 500, ...options };
    this.#progress.set(undefined, new Progress(options.after));
    globalThis.addEventListener?.("online", this.#retry);
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

  /** Ends it for good. */
  close() {
    this.#finish(1000, "closed here");
  }

  async #open() {
    this.#leave();
    this.#enter({ name: "connecting" });
    const state = this.state;
    try {
      const [url, protocols] = await this.#address();
      if (this.state === state) this.#dial(url, protocols);
    } catch (error) {
      if (this.state !== state) return;
      const problem = error instanceof Problem ? error : new Problem({ code: "no_answer", message: "no answer" });
      const { code, status, retryAfter, message } = problem;
      if (status === 401) this.#refused = { token: this.#token, why: message };
      const final = status === 401 ? typeof this.#options.token !== "function" : status >= 400 && status < 429;
      if (final || code === "same_token") this.#finish(1008, message);
      else this.#wait(Math.max(retryAfter * 1000, this.#jitter()), 1006, message);
    }
  }

  /** @returns {Promise<[URL, string[]]>} */
  async #address() {
    const url = absolute(this.#options.url);
    const protocols = ["live.v1"];
    const { position } = this;
    if (position !== undefined) url.searchParams.set("after", String(position));
    if (this.#options.ticket) {
      url.searchParams.set("ticket", await this.#options.ticket());
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

  async #nextToken() {
    const { token } = this.#options;
    return typeof token === "function" ? await token() : token;
  }

  /** @param {URL} url @param {string[]} protocols */
  #dial(url, protocols) {
    const socket = new (this.#options.WebSocket ?? WebSocket)(url, protocols);
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
    this.#schedule("silence", this.#options.heartbeat, () => {
      this.#say({ type: "ping" });
      this.#schedule("silence", this.#options.patience, () => this.#lost(1006, "no sign of life"));
    });
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

  /** Full jitter: clients that were cut off together do not come back together. */
  #jitter() {
    return Math.random() * Math.min(LONGEST_DELAY, this.#options.backoff * 2 ** this.#attempt);
  }

  /** @param {number} delay @param {number} code @param {string} reason */
  #wait(delay, code, reason) {
    this.#attempt += 1;
    this.#enter({ name: "waiting", until: Date.now() + delay, attempt: this.#attempt, code, reason });
    this.#schedule("retry", delay, this.#retry);
  }

  /** @param {number} code @param {string} reason */
  #finish(code, reason) {
    globalThis.removeEventListener?.("online", this.#retry);
    this.#leave();
    if (this.state.name !== "closed") this.#enter({ name: "closed", code, reason });
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

/** How far a stream is known. */
class Progress {
  /** Everything up to here is known; what is known beyond it is in `#ahead`. @type {number | undefined} */
  #reached;
  /** @type {Set<number>} */
  #ahead = new Set();

  /** @param {number} [reached] */
  constructor(reached) {
    this.#reached = reached;
  }

  get position() {
    return this.#reached ?? (this.#ahead.size ? Math.min(...this.#ahead) - 1 : undefined);
  }

  /** Notes a `seq`; returns whether it is new. Answers may overtake what came before them. */
  learn(/** @type {number} */ seq, /** @type {boolean} */ isAnswer) {
    if (this.#reached === undefined && !isAnswer) this.reach(seq - 1);
    if (this.#ahead.has(seq) || seq <= (this.#reached ?? 0)) return false;
    this.#ahead.add(seq);
    if (this.#reached !== undefined) this.reach(this.#reached);
    return true;
  }

  /** Everything up to `seq` is known, or will not come. */
  reach(/** @type {number} */ seq) {
    this.#reached = Math.max(seq, this.#reached ?? 0);
    while (this.#ahead.has(this.#reached + 1)) this.#reached += 1;
    for (const known of this.#ahead) if (known <= this.#reached) this.#ahead.delete(known);
  }

  /** A stream that ends before what we know of it was restored from a backup: its numbers begin again there. */
  endsAt(/** @type {number} */ seq) {
    if (seq < (this.#reached ?? 0)) {
      this.#reached = seq;
      this.#ahead.clear();
    }
    this.reach(seq);
  }
}

/**
 * Asks the HTTP side of the service.
 * @param {string | URL} url
 * @param {{ method?: string, token?: string, body?: object, timeout?: number }} [options]
 * @returns {Promise<any>} the JSON of the answer; throws a Problem if it is one
 */
export async function request(url, { method = "GET", token, body, timeout = 10_000 } = {}) {
  const answer = await fetch(url, {
    method,
    headers: {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(timeout),
  });
  if (answer.ok) return answer.json();
  const error = await answer.json().catch(() => ({ code: "http_error", message: `HTTP ${answer.status}` }));
  throw new Problem(error, { status: answer.status, retryAfter: Number(answer.headers.get("Retry-After")) || 0 });
}

/**
 * The origin of the page, for addresses of the service that serves it.
 * @returns {string}
 */
export function ownOrigin() {
  if (!globalThis.location) throw new TypeError("Outside a page, say where the service is: origin: \"https://…\"");
  return globalThis.location.origin;
}

/**
 * The option `history` for a stream that has an address of its own: fetches what is later than a position, a page at a
 * time, as the messages that were missed.
 * @param {string} address  Takes `?after=…&limit=…`.
 * @param {string} list  The field of its answer that holds the entries.
 * @param {string} type  Of the messages that they are.
 * @returns {(after: number, token?: string) => Promise<Message[]>}
 */
export function historyOf(address, list, type) {
  return async (after, token) => {
    const page = await request(`${address}?after=${after}&limit=1000`, { token });
    return page[list].map((/** @type {object} */ entry) => ({ type, ...entry }));
  };
}

/** @param {string} url */
function absolute(url) {
  const found = new URL(url, globalThis.location?.href);
  found.protocol = found.protocol.replace("http", "ws");
  return found;
}

/** When a JWT expires, in milliseconds since 1970. @param {string | undefined} token */
function expiryOf(token) {
  try {
    const claims = /** @type {string} */ (token).split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return Number(JSON.parse(atob(claims)).exp) * 1000;
  } catch {
    return undefined;
  }
}

/** `crypto.randomUUID` is for secure contexts only; this works on a plain address in the office as well. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
