/** Comments and notifications, on top of the client that the service brings along. */

import { connect, historyOf, ownOrigin } from "/client.js";

/** @typedef {Omit<import("/client.js").Options, "url"> & { origin?: string }} Options  `origin`: if not the page's */

/**
 * The comments of a post, with the HTTP history for a client that was away long.
 * @param {Options & { post: number }} options
 */
export function liveComments({ post, origin = ownOrigin(), ...options }) {
  const history = historyOf(`${origin}/api/posts/${post}/comments`, "comments", "comment");
  return connect({ url: `${origin}/ws/live-comments/${post}`, history, ...options });
}

/**
 * The notifications of the user, with the HTTP history for a client that was away long.
 * @param {Options} options
 */
export function notifications({ origin = ownOrigin(), ...options }) {
  const history = historyOf(`${origin}/api/notifications`, "notifications", "notification");
  return connect({ url: `${origin}/ws/notifications`, history, ...options });
}
