/** Tokens for a page that somebody tries the service with: brought by its address, kept, or made for developers. */

const KEPT = "tokens";

/**
 * The tokens to begin with: from the address that `make run` prints (no server sees what is after the #), those that
 * were kept, or what a developer's own browser is given.
 * @returns {Promise<(string | null)[]>}
 */
export async function tokensToTry() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("token")) {
    const tokens = given.getAll("token");
    given.delete("token");
    history.replaceState(null, "", given.size ? `${location.pathname}#${given}` : location.pathname);
    return tokens;
  }
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
  return kept.some(Boolean) ? kept : (await fetch("/demo-tokens")).json();
}

/** Keeps tokens in this browser. */
export function keep(/** @type {(string | null)[]} */ tokens) {
  localStorage.setItem(KEPT, JSON.stringify(tokens));
}

/** The user that a token speaks for, as the wire writes it; throws if it is none. */
export function userOf(/** @type {string} */ token) {
  const claims = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
  return String(JSON.parse(new TextDecoder().decode(Uint8Array.from(claims, (byte) => byte.charCodeAt(0)))).sub);
}
