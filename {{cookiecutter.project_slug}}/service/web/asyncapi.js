/** The page of the AsyncAPI document: each endpoint, how to get in, and every message with its fields. */

const spec = await (await fetch("/asyncapi.json")).json();

/** An element with attributes and children; texts are texts, never markup. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** Text in which `code` is code. */
function prose(text = "") {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

function resolve(part) {
  if (!part?.$ref) return part;
  return resolve(part.$ref.slice(2).split("/").reduce((within, key) => within[key], spec));
}

/** A schema in a few words: `integer, 1 or more`. */
function typeOf(schema) {
  const { anyOf, const: constant, type, format, minimum, minLength, maxLength, items } = resolve(schema);
  if (constant !== undefined) return JSON.stringify(constant);
  if (anyOf) return [...new Set(anyOf.map(typeOf))].join(" or ");
  if (items) return `list of ${typeOf(items)}`;
  const words = [format ?? type ?? "any JSON"];
  if (minimum !== undefined) words.push(`${minimum} or more`);
  if (maxLength !== undefined) words.push(`${minLength ?? 0} to ${maxLength} characters`);
  else if (minLength) words.push(`${minLength} or more characters`);
  return words.join(", ");
}

/** What a message looks like, with the smallest values that fit. */
function example(schema) {
  const { anyOf, const: constant, type, format, minimum, items, properties } = resolve(schema);
  if (constant !== undefined) return constant;
  if (anyOf) return example(anyOf[0]);
  if (format === "date-time") return "2026-01-31T12:00:00Z";
  if (properties) return Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, example(field)]));
  if (items) return [example(items)];
  return { string: "…", integer: minimum ?? 1, number: 0.5, boolean: true, object: {} }[type] ?? {};
}

function fields(caption, { properties = {}, required = [] }) {
  const rows = Object.entries(properties).map(([name, schema]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, element("code", {}, name), required.includes(name) ? "" : " (optional)"),
      element("td", {}, typeOf(schema)),
      element("td", {}, ...prose(resolve(schema).description)),
    ),
  );
  return rows.length ? element("table", { "aria-label": caption }, ...rows) : "";
}

function message(part) {
  const { name, title, summary, payload } = resolve(part);
  const schema = resolve(payload);
  return element(
    "details",
    {},
    element("summary", {}, element("code", {}, name), " ", ...prose(summary)),
    schema.properties ? element("pre", {}, element("code", {}, JSON.stringify(example(schema)))) : "",
    fields(`Fields of ${title}`, schema),
  );
}

function operation(channel, action, title) {
  const { messages } = spec.operations[`${channel}.${action}`];
  return [element("h3", {}, title), ...messages.map(message)];
}

function endpoint([key, { address, title, description, parameters, bindings }]) {
  const inPath = Object.entries(parameters).map(([name, about]) => [name, { type: "in the path", ...about }]);
  const ways = spec.operations[`${key}.receive`].security.map((way) => resolve(way).description);
  return element(
    "section",
    { class: "card", "aria-label": title },
    element("h2", { id: key }, element("a", { href: `#${key}` }, element("code", {}, address))),
    element("p", {}, ...prose(description)),
    element("p", {}, ...prose(ways.length ? `Needs a token: ${ways.join("; or ")}` : "Needs no token.")),
    fields("Parameters", {
      properties: { ...Object.fromEntries(inPath), ...bindings.ws.query.properties },
      required: Object.keys(parameters),
    }),
    ...operation(key, "receive", "You may send"),
    ...operation(key, "send", "You may be sent"),
  );
}

const { title, version, description } = spec.info;
document.title = `${title}: WebSocket endpoints`;
document.getElementById("document").replaceChildren(
  element("p", {}, `${title} ${version}. ${description}`),
  ...Object.entries(spec.channels).map(endpoint),
);
