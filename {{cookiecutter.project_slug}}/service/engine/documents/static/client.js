/**
 * A client for this service, for browsers and Node 22 or later. No dependencies.
 *
 *     const live = connect({ token: () => tokenOfMyUser() });
 *     const room = live.subscribe("rooms/1", {
 *       after: 0,
 *       onEvent: (event) => console.log(event),
 *       onState: (state) => console.log(state.name),
 *     });
 *     room.unsubscribe();
 *
 * All streams of a page share one connection; where no socket gets through they go on by server-sent events. And for one
 * endpoint, into which something is said as well:
 *
 *     const connection = connect({ url: "/ws/rooms/1", token: () => tokenOfMyUser(), onMessage, onState });
 *     await connection.deliver({ type: "new_entry", body: "Hello" });
 *
 * It notices a dead server, comes back where it left off, says again what was not confirmed, and shows a new token
 * before the old one expires. It speaks docs/protocol.md.
 */

import { Connection } from "./client-connection.js";
import { Live } from "./client-streams.js";

/**
 * @typedef {import("./client-protocol.js").Message} Message
 * @typedef {import("./client-protocol.js").State} State
 * @typedef {import("./client-connection.js").Options} Options
 * @typedef {import("./client-streams.js").LiveOptions} LiveOptions
 * @typedef {import("./client-streams.js").SubscriptionOptions} SubscriptionOptions
 * @typedef {import("./client-streams.js").StreamState} StreamState
 */

export { Connection } from "./client-connection.js";
export { ENDINGS, historyOf, ownOrigin, Problem, request } from "./client-protocol.js";
export { Live, Subscription } from "./client-streams.js";

/**
 * Connects, and stays connected until told otherwise: to the endpoint at `url`, or without one to all streams.
 * @overload
 * @param {Options} options
 * @returns {Connection}
 */
/**
 * @overload
 * @param {LiveOptions} options
 * @returns {Live}
 */
/**
 * @param {any} options
 * @returns {Connection | Live}
 */
export function connect(options) {
  return options.url === undefined ? new Live(options) : new Connection(options);
}
