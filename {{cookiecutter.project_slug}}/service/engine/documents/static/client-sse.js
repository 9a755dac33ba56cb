/** One stream by server-sent events, for as long as it is wanted: `fetch` shows why it is refused, EventSource does not. */

import { ask, bearer, given, jitter, Problem } from "./client-protocol.js";

/**
 * @typedef {import("./client-protocol.js").Message} Message
 * @typedef {import("./client-protocol.js").State} State
 *
 * @typedef {object} EventOptions
 * @property {() => string} address  Where the stream is read on, from its present position.
 * @property {string | (() => string | Promise<string>)} [token]
 * @property {() => Promise<string>} [ticket]
 * @property {number} silence  Milliseconds after which an answer that brings nothing is dead: a heartbeat is a line with a colon.
 * @property {number} patience  How long it may take to begin.
 * @property {number} backoff
 * @property {(direction: "in", text: string) => void} [onFrame]
 * @property {(message: Message) => void} onMessage
 * @property {(state: State) => void} onState
 * @property {(problem: Problem) => void} onRefusal  It is over: this stream is refused.
 * @property {(token: string | undefined, why: string) => void} onBadToken
 */

const LONGEST_TIMER = 2 ** 31 - 1;
/** Errors that say the token counts no longer. */
const OF_THE_TOKEN = new Set(["expired_token", "invalid_token"]);

export class Events {
  #options;
  #attempt = 0;
  #heardAt = 0;
  #ended = false;
  #waiting = false;
  /** @type {number | undefined} */
  #delay;
  /** @type {string | undefined} */
  #token;
  /** @type {AbortController | undefined} */
  #answer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {EventOptions} options */
  constructor(options) {
    this.#options = options;
    this.#open();
  }

  /** Looks at once: does not wait any longer, nor trust an answer that has brought nothing for a while. */
  check() {
    const stale = Date.now() - this.#heardAt > this.#options.silence / 2;
    if (!this.#ended && (this.#waiting || stale)) this.#open();
  }

  /** Ends it for good. */
  close() {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#answer?.abort();
  }

  async #open() {
    this.#answer?.abort();
    const answer = (this.#answer = new AbortController());
    this.#heardAt = Date.now();
    this.#waiting = false;
    this.#delay = undefined;
    this.#options.onState({ name: "connecting" });
    try {
      await this.#read(answer);
      if (answer === this.#answer) this.#wait("the answer ended");
    } catch (error) {
      if (!this.#ended && answer === this.#answer) this.#failed(/** @type {Error} */ (error));
    }
  }

  /** @param {AbortController} answer */
  async #read(answer) {
    this.#listen(answer, this.#options.patience);
    const { body, headers } = await ask(await this.#address(), {
      headers: bearer(this.#options.ticket ? undefined : this.#token),
      cache: "no-store",
      signal: answer.signal,
    });
    if (!body || !headers.get("Content-Type")?.startsWith("text/event-stream")) throw new Error("no event stream");
    this.#options.onState({ name: "live" });
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let unread = ""; ; ) {
      this.#heardAt = Date.now();
      this.#listen(answer, this.#options.silence);
      const { done, value } = await reader.read();
      if (done) return;
      const events = (unread + value).split(/\r?\n\r?\n/);
      unread = /** @type {string} */ (events.pop());
      for (const event of events) if (!this.#ended && answer === this.#answer) this.#take(event);
    }
  }

  async #address() {
    const url = new URL(this.#options.address());
    if (this.#options.ticket) url.searchParams.set("ticket", await given("ticket", this.#options.ticket));
    else this.#token = await given("token", this.#options.token);
    return url;
  }

  /** @param {string} event */
  #take(event) {
    const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
    if (data.length === 0) return;
    const text = data.map((line) => line.slice(5).trimStart()).join("\n");
    this.#options.onFrame?.("in", text);
    /** @type {Message} */
    const message = JSON.parse(text);
    this.#attempt = 0;
    if (message.type === "reconnect") this.#delay = message.delay_ms;
    else if (message.type !== "error") this.#options.onMessage(message);
    else if (OF_THE_TOKEN.has(message.code)) this.#refused(message.message);
    else this.#refuse(new Problem(/** @type {any} */ (message)));
  }

  /** @param {Error} error */
  #failed(error) {
    const { status = 0, retryAfter = 0, code = "" } = error instanceof Problem ? error : {};
    if (status === 401) this.#refused(error.message);
    else if (status >= 400 && status < 429) this.#refuse(/** @type {Problem} */ (error));
    if (!this.#ended) this.#wait(code === "no_answer" ? "no answer" : error.message, retryAfter * 1000, error);
  }

  /** @param {Problem} problem */
  #refuse(problem) {
    this.close();
    this.#options.onRefusal(problem);
  }

  /** @param {string} why */
  #refused(why) {
    if (this.#attempt === 0) this.#delay = 0;
    this.#options.onBadToken(this.#token, why);
  }

  /** @param {string} reason @param {number} [atLeast] @param {unknown} [cause] */
  #wait(reason, atLeast = 0, cause = undefined) {
    if (this.#ended) return;
    const delay = this.#delay ?? Math.max(atLeast, jitter(this.#options.backoff, this.#attempt));
    this.#attempt += 1;
    this.#waiting = true;
    this.#schedule(delay, () => this.#open());
    const until = Date.now() + delay;
    this.#options.onState({ name: "waiting", until, attempt: this.#attempt, code: 1006, reason, cause });
  }

  /** @param {AbortController} answer @param {number} patience */
  #listen(answer, patience) {
    this.#schedule(patience, () => answer.abort(new Error("no sign of life")));
  }

  /** @param {number} delay @param {() => void} action */
  #schedule(delay, action) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, Math.min(delay, LONGEST_TIMER));
  }
}
