/** What every way of following a stream has in common: the words of docs/protocol.md, and how far a stream is known. */

/**
 * @typedef {{ type: string, [field: string]: any }} Message
 *
 * @typedef {{ name: "connecting" | "catching_up" | "live" }
 *   | { name: "waiting", until: number, attempt: number, code: number, reason: string, cause?: unknown }
 *   | { name: "closed", code: number, reason: string, cause?: unknown }} State
 *   `until`: when it tries again, in milliseconds since 1970. `cause`: what was thrown before a socket was tried.
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
/** Errors that say "not now" of a message, which is then said again. */
export const PASSING = new Set(["unavailable", "rate_limited"]);

/** Full jitter: clients that were cut off together do not come back together. */
export function jitter(/** @type {number} */ bound, /** @type {number} */ attempt) {
  return Math.random() * Math.min(LONGEST_DELAY, bound * 2 ** attempt);
}

/** Calls `wake` when a page that slept, was hidden or was offline is back; returns what ends that. */
export function onWaking(/** @type {() => void} */ wake) {
  const ending = new AbortController();
  const { signal } = ending;
  const seen = () => globalThis.document?.visibilityState !== "hidden" && wake();
  globalThis.addEventListener?.("online", wake, { signal });
  globalThis.addEventListener?.("pageshow", wake, { signal });
  for (const event of ["visibilitychange", "resume"]) globalThis.document?.addEventListener(event, seen, { signal });
  return () => ending.abort();
}

/** What the service refused, in its words; or why it could not be asked, with the `cause`. */
export class Problem extends Error {
  /**
   * @param {{ code: string, message: string }} error
   * @param {{ status?: number, retryAfter?: number, cause?: unknown }} [details]
   */
  constructor({ code, message }, { status = 0, retryAfter = 0, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "Problem";
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** How far a stream is known. */
export class Progress {
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

  /**
   * Everything up to `seq`, the stream's last event, is known. One that ends before the position that it was `asked`
   * for was restored from a backup: its numbers begin again there.
   * @param {number} seq @param {number} [asked]
   */
  endsAt(seq, asked = this.#reached ?? 0) {
    if (seq < asked && seq < (this.#reached ?? 0)) {
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
  const answer = await ask(url, {
    method,
    headers: { ...bearer(token), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(timeout),
  });
  return answer.json();
}

/**
 * `fetch`, but whatever is no good answer is thrown as a Problem.
 * @param {string | URL} url
 * @param {RequestInit} options
 */
export async function ask(url, options) {
  const answer = await fetch(url, options).catch((cause) => {
    throw new Problem({ code: "no_answer", message: `no answer: ${reasonOf(cause)}` }, { cause });
  });
  if (answer.ok) return answer;
  const error = await answer.json().catch(() => ({ code: "http_error", message: `HTTP ${answer.status}` }));
  throw new Problem(error, { status: answer.status, retryAfter: Number(answer.headers.get("Retry-After")) || 0 });
}

/** The header that shows a token, if there is one. @param {string | undefined} token @returns {Record<string, string>} */
export function bearer(token) {
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

/**
 * What an option gives that may be a function: the token, or a ticket. A bug in it is told as such.
 * @template T
 * @param {"token" | "ticket"} name
 * @param {T | (() => T | Promise<T>)} option
 * @returns {Promise<T>}
 */
export async function given(name, option) {
  if (typeof option !== "function") return option;
  try {
    return await /** @type {() => T | Promise<T>} */ (option)();
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    throw new Problem({ code: `no_${name}`, message: `${name}(): ${reasonOf(cause)}` }, { cause });
  }
}

/** Of anything that is thrown, and of its cause: Node keeps the reason of a failed `fetch` there. @param {any} error */
function reasonOf(error) {
  return [error?.message ?? String(error), error?.cause?.message].filter(Boolean).join(": ");
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

/** An address of the service as that of a WebSocket. @param {string} url */
export function absolute(url) {
  const found = new URL(url, globalThis.location?.href);
  found.protocol = found.protocol.replace("http", "ws");
  return found;
}

/** When a JWT expires, in milliseconds since 1970. @param {string | undefined} token */
export function expiryOf(token) {
  try {
    const claims = /** @type {string} */ (token).split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    return Number(JSON.parse(atob(claims)).exp) * 1000;
  } catch {
    return undefined;
  }
}

/** `crypto.randomUUID` is for secure contexts only; this works on a plain address in the office as well. */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
