/** The page of the AsyncAPI document: each endpoint, how to get in, and every message with its fields. */

import { asyncapi, element, example, prose, resolve, typeOf } from "/documents.js";

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

/** What is said in one direction, if anything is: a stream takes nothing. */
function operation(channel, action, title) {
  const found = asyncapi.operations[`${channel}.${action}`];
  return found ? [element("h3", {}, title), ...found.messages.map(message)] : [];
}

function endpoint([key, { address, title, description, parameters, bindings }]) {
  const inPath = Object.entries(parameters).map(([name, about]) => [name, { type: "in the path", ...about }]);
  const ways = asyncapi.operations[`${key}.send`].security.map((way) => resolve(way).description);
  return element(
    "section",
    { class: "card", "aria-label": title },
    element("h2", { id: key }, element("a", { href: `#${key}` }, element("code", {}, address))),
    element("p", {}, ...prose(description)),
    element("p", {}, ...prose(ways.length ? `Needs a token: ${ways.join("; or ")}` : "Needs no token.")),
    fields("Parameters", {
      properties: { ...Object.fromEntries(inPath), ...bindings?.ws.query.properties },
      required: Object.keys(parameters),
    }),
    ...operation(key, "receive", "You may send"),
    ...operation(key, "send", "You may be sent"),
  );
}

const { title, version, description } = asyncapi.info;
document.title = `${title}: WebSocket endpoints`;
document.getElementById("document").replaceChildren(
  element("p", {}, `${title} ${version}. ${description}`),
  ...Object.entries(asyncapi.channels).map(endpoint),
);
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
