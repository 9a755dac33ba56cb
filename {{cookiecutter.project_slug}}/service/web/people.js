/** Who is here on a post, and who is typing: for a few seconds after each sign of it. */

const SHOWN = 3000;
const MOST_NAMED = 5;

export class People {
  #me;
  #onChange;
  /** Until when somebody is typing, as the timer that ends it. */
  #typing = new Map();

  /** @param {string} me @param {() => void} onChange  Of who is typing. */
  constructor(me, onChange) {
    this.#me = me;
    this.#onChange = onChange;
  }

  /** Somebody is typing, perhaps this user elsewhere. @param {number | string} user */
  types(user) {
    if (String(user) === this.#me) return;
    clearTimeout(this.#typing.get(user));
    const end = setTimeout(() => this.rests(user), SHOWN);
    this.#typing.set(user, end);
    this.#onChange();
  }

  /** Somebody is not, or no longer. @param {number | string} user */
  rests(user) {
    clearTimeout(this.#typing.get(user));
    if (this.#typing.delete(user)) this.#onChange();
  }

  get typing() {
    const names = [...this.#typing.keys()].map((user) => `User ${user}`);
    return names.length ? `${this.#listed(names, names.length)} ${names.length > 1 ? "are" : "is"} typing…` : "";
  }

  /** @param {import("/client.js").Subscription} subscription */
  here({ present, count }) {
    const others = [...present].filter((user) => String(user) !== this.#me).map((user) => `User ${user}`);
    const isHere = others.length < present.size;
    return count ? `Here: ${this.#listed(isHere ? ["You", ...others] : others, count)}` : "";
  }

  /** @param {string[]} names @param {number} count */
  #listed(names, count) {
    const named = names.slice(0, MOST_NAMED);
    return named.join(", ") + (count > named.length ? ` and ${count - named.length} more` : "");
  }
}
