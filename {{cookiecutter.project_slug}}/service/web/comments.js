/** Comments and notifications, on top of the client that the service brings along. */

import { connect, historyOf, ownOrigin, request } from "/client.js";

/** @typedef {Omit<import("/client.js").Options, "url"> & { origin?: string }} Options  `origin`: if not the page's */

/** The stream of a post's comments, to subscribe to. @param {number} post */
export const commentsOf = (post) => `comments/${post}`;

/**
 * The comments of a post, with the HTTP history for a client that was away long.
 * @param {Options & { post: number }} options
 */
export function liveComments({ post, origin = ownOrigin(), ...options }) {
  const history = historyOf(`${origin}/api/posts/${post}/comments`, "comments", "comment");
  return connect({ url: `${origin}/ws/live-comments/${post}`, history, ...options });
}

/**
 * Stores a comment where no socket gets through. It may be said again: the same `client_id` is stored once.
 * @param {{ post: number, token?: string, origin?: string, body: string, client_id?: string }} comment
 * @returns {Promise<{ comment_id: number, seq: number }>}
 */
export function postComment({ post, token, origin = ownOrigin(), ...body }) {
  return request(`${origin}/api/posts/${post}/comments`, { method: "POST", token, body });
}

/**
 * The notifications of the user, with the HTTP history for a client that was away long.
 * @param {Options} options
 */
export function notifications({ origin = ownOrigin(), ...options }) {
  const history = historyOf(`${origin}/api/notifications`, "notifications", "notification");
  return connect({ url: `${origin}/ws/notifications`, history, ...options });
}
