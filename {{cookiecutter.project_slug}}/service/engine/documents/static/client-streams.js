/** Many streams on one connection, and by server-sent events where no socket gets through. */

import { Connection, hasSockets } from "./client-connection.js";
import { given, jitter, onWaking, ownOrigin, PASSING, Problem, Progress, request } from "./client-protocol.js";
import { Events } from "./client-sse.js";

/**
 * @typedef {import("./client-protocol.js").Message} Message
 * @typedef {import("./client-protocol.js").State} State
 *
 * @typedef {object} LiveOptions
 * @property {string} [origin]  Where the service is, `https://example.com`; in a page, where it comes from.
 * @property {string | (() => string | Promise<string>)} [token]  The user's token, or what gets one: asked for each
 *   connection, and again before the token expires.
 * @property {() => Promise<string>} [ticket]  Instead of `token`, where your own backend hands out tickets.
 * @property {boolean} [tickets]  `false` sends the token itself, as a subprotocol.
 * @property {"auto" | "socket" | "sse"} [transport]  `auto` goes on by server-sent events when two sockets in a row
 *   have not got through, and back as soon as one does.
 * @property {(state: State) => void} [onState]  Of what carries the events: see `transport` for what that is.
 * @property {(direction: "in" | "out", text: string) => void} [onFrame]  Every frame and event, to look at.
 * @property {number} [heartbeat]  Milliseconds of silence after which the server is asked for a sign of life (25,000).
 * @property {number} [patience]  How long it may take to give one, or to let us in (10,000).
 * @property {number} [backoff]  The longest first delay (500); it doubles up to 30 s. Delays are random below it.
 * @property {typeof WebSocket} [WebSocket]  Another implementation, for Node before 22.
 *
 * @typedef {object} SubscriptionOptions
 * @property {number} [after]  Your position in the stream: 0 for all of it, a `seq` for what came later, nothing for
 *   what comes from now on.
 * @property {(event: Message) => void} [onEvent]  Each event once, in order, with the name of its `stream`.
 * @property {(state: StreamState) => void} [onState]
 * @property {boolean} [presence]  `true` to be there for others, and to be told who is.
 * @property {(subscription: Subscription) => void} [onPresence]  Of each change of who is `present`.
 * @property {(signal: Message) => void} [onSignal]  What others signal: `user_id` and `data`, at most once.
 *
 * @typedef {{ name: "connecting" | "catching_up" | "live" | "waiting" }
 *   | { name: "closed", code: string | number, reason: string }} StreamState
 *
 * @typedef {{ after?: number, id?: string, isOpen?: boolean }} Way  How a stream comes here: from which position it was
 *   asked for, by which message, and whether that was granted.
 */

/** Sockets in a row that do not get through before something else is tried. */
const TRIES = 2;
const PAGE = 1000;
const PRESENCE = new Set(["presence", "joined", "left"]);
/** What a subscription may be refused for that is no refusal. */
const FOR_NOW = new Set([...PASSING, "internal_error"]);
/** The `client_id` of all signals: what they are refused for ends no subscription. */
const SIGNAL = "signal";

/** One stream that is followed. */
export class Subscription {
  /** @type {StreamState} */
  state = { name: "connecting" };
  /** Who is there, as far as they are listed: the ids of users. @type {Set<number | string>} */
  present = new Set();
  /** How many are there. */
  count = 0;

  #live;
  #options;
  #progress;
  /** What comes while history is fetched. @type {[Message, Way][] | null} */
  #held = null;

  /** @param {Live} live @param {string} stream @param {SubscriptionOptions} options */
  constructor(live, stream, options) {
    this.stream = stream;
    this.#live = live;
    this.#options = options;
    this.#progress = new Progress(options.after);
  }

  /** The last `seq` up to which nothing is missing: the `after` of a later visit. */
  get position() {
    return this.#progress.position;
  }

  /** Follows the stream no longer. */
  unsubscribe() {
    this.#live.forget(this);
  }

  /**
   * Tells everybody else on the stream, once, if it is followed over a socket; returns whether it is.
   * @param {object} data
   */
  signal(data) {
    return this.#live.signal(this.stream, data);
  }

  /** For the connection: what asks for the stream. */
  get asked() {
    const { stream, position: after } = this;
    const presence = this.#options.presence ? { presence: true } : {};
    return { type: "subscribe", stream, ...(after === undefined ? {} : { after }), ...presence };
  }

  /** For the connection: what has come, and which way. @param {Message} message @param {Way} way */
  take(message, way) {
    if (message.type === "signal") this.#options.onSignal?.(message);
    else if (PRESENCE.has(message.type)) this.#learn(message);
    else if (this.#held) this.#held.push([message, way]);
    else if (message.type === "history_gap") this.#fill(message);
    else if (message.type === "subscribed") this.#caughtUp(message.seq, way);
    else this.#show(message);
  }

  /** For the connection. @param {StreamState} state */
  enter(state) {
    if (this.state.name === "closed" || this.state.name === state.name) return;
    this.state = state;
    this.#options.onState?.(state);
  }

  /** Who is there. @param {Message} message */
  #learn({ type, users, count, user_id: user }) {
    if (type === "presence") {
      this.present = new Set(users);
      this.count = count;
    } else if (type === "joined") {
      this.present.add(user);
      this.count += 1;
    } else {
      this.present.delete(user);
      this.count -= 1;
    }
    this.#options.onPresence?.(this);
  }

  /** @param {number} seq @param {Way} way */
  #caughtUp(seq, way) {
    this.#progress.endsAt(seq, way.after);
    this.enter({ name: "live" });
    this.#live.arrived(this, way);
  }

  /** @param {Message} event */
  #show(event) {
    const isNew = !Number.isInteger(event.seq) || this.#progress.learn(event.seq, false);
    if (isNew && this.state.name !== "closed") this.#options.onEvent?.({ ...event, stream: this.stream });
  }

  /** Fetches what is not sent, while what is sent waits. @param {Message} gap */
  async #fill(gap) {
    this.#held = [];
    this.enter({ name: "catching_up" });
    for (let attempt = 0; this.#misses(gap); attempt += 1) {
      try {
        await this.#fetch(gap);
      } catch (error) {
        const problem = /** @type {Problem} */ (error);
        if (problem.status === 403 || problem.status === 404) this.#live.refuse(this, problem);
        else await new Promise((resolve) => setTimeout(resolve, jitter(1000, attempt)));
      }
    }
    const held = this.#held;
    this.#held = null;
    for (const [message, way] of held) this.take(message, way);
  }

  /** @param {Message} gap */
  async #fetch(gap) {
    while (this.#misses(gap)) {
      const events = await this.#live.history(this.stream, this.position ?? 0);
      if (!events) this.#options.onEvent?.(gap);
      events?.forEach((event) => this.#show(event));
      this.#progress.reach(events?.at(-1)?.seq ?? gap.seq);
    }
  }

  /** @param {Message} gap */
  #misses(gap) {
    return (this.position ?? 0) < gap.seq && this.state.name !== "closed";
  }
}

/** All streams that somebody follows. */
export class Live {
  /** @type {State} */
  state = { name: "connecting" };
  /** What carries events now. @type {"socket" | "sse"} */
  transport = "socket";

  #options;
  #origin;
  /** @type {Map<string, Subscription>} */
  #subscriptions = new Map();
  /** Streams that the server is told to send no longer, until it says that it does not. @type {Set<string>} */
  #leaving = new Set();
  /** The way of each stream over the present socket. @type {Map<Subscription, Way>} */
  #ways = new Map();
  /** @type {Map<Subscription, { events: Events, state: State }>} */
  #events = new Map();
  /** @type {Connection | null} */
  #connection = null;
  /** Sockets in a row that have brought nothing. */
  #failures = 0;
  #hasHeard = false;
  #said = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #again;
  /** @type {{ token?: string, why: string }} */
  #refused = { why: "" };
  #sleep;

  /** @param {LiveOptions} options */
  constructor(options) {
    this.#options = { transport: "auto", heartbeat: 25_000, patience: 10_000, backoff: 500, ...options };
    this.#origin = this.#options.origin ?? ownOrigin();
    this.#sleep = onWaking(() => this.#events.forEach(({ events }) => events.check()));
    const { transport } = this.#options;
    if (transport === "sse" || (transport === "auto" && !hasSockets(options))) this.transport = "sse";
    else this.#connection = this.#connect();
  }

  /**
   * Follows a stream.
   * @param {string} stream  Its name, `rooms/7`.
   * @param {SubscriptionOptions} [options]
   * @returns {Subscription}
   */
  subscribe(stream, options = {}) {
    if (!stream) throw new TypeError("a stream has a name");
    if (this.#subscriptions.has(stream)) throw new TypeError(`${stream} is followed already`);
    const subscription = new Subscription(this, stream, options);
    this.#subscriptions.set(stream, subscription);
    if (this.state.name === "closed") this.#end(subscription, this.state.code, this.state.reason);
    else if (this.transport === "sse") this.#readEvents(subscription);
    this.#ask(subscription);
    return subscription;
  }

  /**
   * Tells everybody else on a stream that is followed over a socket, once; returns whether it is.
   * @param {string} stream @param {object} data
   */
  signal(stream, data) {
    const subscription = this.#subscriptions.get(stream);
    if (!subscription || !this.#ways.has(subscription)) return false;
    return this.#connection?.send({ type: "signal", stream, data, client_id: SIGNAL }) ?? false;
  }

  /** Does not wait any longer for the next attempt. */
  retry() {
    this.#connection?.retry();
    this.#events.forEach(({ events }) => events.check());
  }

  /** Ends it for good. */
  close() {
    this.#finish(1000, "closed here");
  }

  /** Of a subscription: it is not wanted any longer. @param {Subscription} subscription */
  forget(subscription) {
    if (this.#subscriptions.get(subscription.stream) !== subscription) return;
    const { stream } = subscription;
    const isAsked = this.#ways.has(subscription);
    this.#end(subscription, 1000, "closed here");
    if (isAsked && this.#connection?.send({ type: "unsubscribe", stream })) this.#leaving.add(stream);
  }

  /** Of a subscription: everything up to now has come this way. @param {Subscription} subscription @param {Way} way */
  arrived(subscription, way) {
    if (this.#ways.get(subscription) !== way) return;
    way.isOpen = true;
    this.#leaveEvents(subscription);
  }

  /** Of a subscription: it may not be followed. @param {Subscription} subscription @param {Problem} problem */
  refuse(subscription, problem) {
    this.#end(subscription, problem.code, problem.message);
  }

  /**
   * Of a subscription: what is later than a position, a page of it; nothing where there is no token to ask with.
   * @param {string} stream @param {number} after
   * @returns {Promise<Message[] | undefined>}
   */
  async history(stream, after) {
    if (this.#options.token === undefined) return undefined;
    const token = await given("token", this.#options.token);
    const { events } = await request(`${this.#address(stream)}?after=${after}&limit=${PAGE}`, { token });
    return events;
  }

  /** A stream over HTTP: each part of its name is one of the path. @param {string} stream */
  #address(stream) {
    return `${this.#origin}/api/streams/${stream.split("/").map(encodeURIComponent).join("/")}`;
  }

  // By a socket

  #connect() {
    const { onFrame } = this.#options;
    return new Connection({
      ...this.#options,
      url: `${this.#origin}/ws/streams`,
      after: undefined,
      counts: false,
      onState: (state) => this.#socketIs(state),
      onMessage: (message) => this.#take(message),
      onFrame: (direction, text) => {
        if (direction === "in") this.#hear();
        onFrame?.(direction, text);
      },
    });
  }

  /** @param {State} state */
  #socketIs(state) {
    if (state.name === "closed") {
      this.#finish(state.code, state.reason);
      return;
    }
    clearTimeout(this.#again);
    this.#ways.clear();
    this.#leaving.clear();
    if (state.name === "waiting") this.#lose(state);
    if (this.transport === "socket") this.#enter(state);
    if (state.name === "live") {
      this.#hasHeard = false;
      this.#subscriptions.forEach((subscription) => this.#ask(subscription));
      this.#connection?.check(); // a proxy may let us in and nothing through
    }
  }

  /** The first that a socket brings shows that sockets get through. */
  #hear() {
    this.#hasHeard = true;
    this.#failures = 0;
    if (this.transport === "socket") return;
    this.transport = "socket";
    this.#enter({ name: "live" });
  }

  /** @param {State & { name: "waiting" }} state */
  #lose(state) {
    const isOfSockets = !this.#hasHeard && state.cause === undefined;
    this.#hasHeard = false;
    if (isOfSockets) this.#failures += 1;
    if (this.#failures >= TRIES && this.#options.transport === "auto") this.#goOnByEvents();
  }

  /** Has a stream sent over the socket, if there is one. @param {Subscription} subscription */
  #ask(subscription) {
    const { stream, position: after } = subscription;
    if (this.#connection?.state.name !== "live" || this.#leaving.has(stream)) return;
    if (this.#subscriptions.get(stream) !== subscription) return;
    const id = String((this.#said += 1));
    this.#ways.set(subscription, { after, id });
    this.#connection.send({ ...subscription.asked, client_id: id });
  }

  /** @param {Message} message */
  #take(message) {
    if (message.type === "error") {
      this.#mind(message);
      return;
    }
    const { stream } = message;
    const subscription = this.#subscriptions.get(stream);
    if (message.type === "unsubscribed") {
      this.#leaving.delete(stream);
      if (subscription) this.#ask(subscription);
    } else if (subscription && !this.#leaving.has(stream)) {
      subscription.take(message, this.#ways.get(subscription) ?? {});
    }
  }

  /** @param {Message} error */
  #mind({ code, message, stream, client_id: id }) {
    if (id === SIGNAL) return; // it is lost: nobody waits for it
    if (FOR_NOW.has(code)) {
      clearTimeout(this.#again);
      this.#again = setTimeout(() => this.#askAgain(), 500 + Math.random() * 1000);
    } else if (code === "unknown_stream" && this.#leaving.delete(stream)) {
      this.#take({ type: "unsubscribed", stream });
    } else if (code !== "already_subscribed") {
      const [asked] = [...this.#ways].find(([, way]) => id !== undefined && way.id === id) ?? [];
      const subscription = this.#subscriptions.get(stream) ?? asked;
      if (subscription) this.#end(subscription, code, message);
    }
  }

  /** Says again what was not taken: an error may not say which. */
  #askAgain() {
    for (const stream of this.#leaving) this.#connection?.send({ type: "unsubscribe", stream });
    for (const [subscription, way] of this.#ways) if (!way.isOpen) this.#ask(subscription);
  }

  // By server-sent events

  #goOnByEvents() {
    this.transport = "sse";
    for (const subscription of this.#subscriptions.values()) {
      if (!this.#events.has(subscription)) this.#readEvents(subscription);
    }
  }

  /** @param {Subscription} subscription */
  #readEvents(subscription) {
    const { token, ticket, heartbeat, patience, backoff, onFrame } = this.#options;
    const { stream } = subscription;
    /** @type {Way} */
    let way = {};
    const address = () => {
      const { position: after } = subscription;
      way = { after };
      return `${this.#address(stream)}/events${after === undefined ? "" : `?after=${after}`}`;
    };
    const events = new Events({
      address,
      token: token === undefined ? undefined : () => this.#usable(token),
      ticket,
      silence: 2 * heartbeat + patience,
      patience,
      backoff,
      onFrame,
      onMessage: (message) => {
        if (message.type === "caught_up") subscription.take({ ...message, type: "subscribed" }, way);
        else subscription.take(message, way);
        if (message.type === "history_gap") subscription.take({ type: "subscribed", seq: message.seq }, way);
      },
      onState: (state) => this.#eventsAre(subscription, state),
      onRefusal: (problem) => this.refuse(subscription, problem),
      onBadToken: (refused, why) => this.#refuseToken(refused, why),
    });
    this.#events.set(subscription, { events, state: { name: "connecting" } });
  }

  /** @param {Subscription} subscription */
  #leaveEvents(subscription) {
    this.#events.get(subscription)?.events.close();
    this.#events.delete(subscription);
  }

  /** A token that was not refused. @param {string | (() => string | Promise<string>)} option */
  async #usable(option) {
    const token = await given("token", option);
    if (token === this.#refused.token) this.#finish(1008, this.#refused.why);
    return token;
  }

  /** @param {string | undefined} token @param {string} why */
  #refuseToken(token, why) {
    if (token === undefined && this.#options.ticket) return; // the next one may do
    this.#refused = { token, why };
    if (typeof this.#options.token !== "function") this.#finish(1008, why);
  }

  /** @param {Subscription} subscription @param {State} state */
  #eventsAre(subscription, state) {
    const known = this.#events.get(subscription);
    if (!known) return;
    known.state = state;
    if (this.transport !== "sse") return;
    const states = [...this.#events.values()].map(({ state: each }) => each);
    const worst = states.find(({ name }) => name === "waiting") ?? states.find(({ name }) => name !== "live");
    this.#enter(worst ?? { name: "live" });
    if (state.name !== "live") subscription.enter({ name: state.name === "waiting" ? "waiting" : "connecting" });
  }

  // Both

  /** @param {State} state */
  #enter(state) {
    if (this.state.name === "closed") return;
    this.state = state;
    for (const subscription of this.#subscriptions.values()) {
      if (state.name === "connecting" || state.name === "waiting") {
        if (!this.#events.has(subscription)) subscription.enter({ name: state.name });
      }
    }
    this.#options.onState?.(state);
  }

  /** @param {Subscription} subscription @param {string | number} code @param {string} reason */
  #end(subscription, code, reason) {
    this.#leaveEvents(subscription);
    this.#ways.delete(subscription);
    this.#subscriptions.delete(subscription.stream);
    subscription.enter({ name: "closed", code, reason });
  }

  /** @param {number} code @param {string} reason */
  #finish(code, reason) {
    if (this.state.name === "closed") return;
    this.state = { name: "closed", code, reason };
    this.#sleep();
    for (const subscription of [...this.#subscriptions.values()]) this.#end(subscription, code, reason);
    this.#connection?.close();
    this.#options.onState?.(this.state);
  }
}
