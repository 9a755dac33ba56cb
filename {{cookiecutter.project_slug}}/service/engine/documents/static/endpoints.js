/** The page of a service that has none of its own: the endpoints there are, and a WebSocket to any of them. */

import { request } from "/client.js";
import { asyncapi, element, example, prose, resolve } from "/documents.js";
import { keep, tokensToTry, userOf } from "/tokens.js";

const MOST_FRAMES = 200;
const NORMAL = 1000;

const find = (selector) => document.querySelector(selector);
const [opening, sending, wire] = [find(".open"), find(".send"), find(".wire")];
const { path, choice, token } = opening.elements;
const { frame } = sending.elements;
/** @type {WebSocket | null} */
let socket = null;

/** The address of a channel with something in the place of its parameters. */
function pathOf({ address }) {
  return address.replace(/\{\w+\}/g, "1");
}

/** The channels that a WebSocket can be opened to; the others are streams, to follow on one of these. */
const channels = Object.entries(asyncapi.channels).filter(([, { address }]) => address.startsWith("/"));

/** The channel that a path leads to. */
function channelOf(wanted) {
  const [bare] = wanted.split("?");
  return channels.find(([, { address }]) => {
    const parts = address.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join("[^/]+")}$`).test(bare);
  });
}

function needsToken(key) {
  return asyncapi.operations[`${key}.receive`].security.length > 0;
}

/** A message that an endpoint takes, as a frame without the fields that may be left out; nothing for bytes. */
function frameOf({ contentType, payload }) {
  if (contentType === "application/octet-stream") return undefined;
  const value = example(payload);
  if (typeof value === "string") return "hello";
  const { required = [] } = resolve(payload);
  return JSON.stringify(Object.fromEntries(required.map((name) => [name, value[name]])));
}

function frameButton(message) {
  const text = frameOf(message);
  if (text === undefined) return undefined;
  const button = element("button", { type: "button" }, message.name);
  button.addEventListener("click", () => {
    frame.value = text;
    frame.focus();
  });
  return button;
}

/** Offers what the endpoint at the path takes, and a token if it needs one. */
function choose() {
  const [key] = channelOf(path.value) ?? [];
  const frames = key ? asyncapi.operations[`${key}.receive`].messages.map(resolve) : [];
  const buttons = frames.map(frameButton).filter(Boolean);
  const offered = find(".console .actions");
  offered.replaceChildren("Begin with", ...buttons);
  offered.hidden = buttons.length === 0;
  if (key && !needsToken(key)) choice.value = "none";
  else if (key && choice.value === "none") choice.selectedIndex = 0;
  offerTokenField();
}

function offerTokenField() {
  const hidden = choice.value !== "other";
  for (const part of document.querySelectorAll(".pasted")) part.hidden = hidden;
  token.required = !hidden;
}

function tell(state, words) {
  find(".console").dataset.state = state;
  find("[role=status]").textContent = words;
  const close = find("[name=close]");
  if (state !== "live" && close === document.activeElement) opening.querySelector("button").focus();
  close.hidden = state !== "live";
  sending.querySelector("button").disabled = state !== "live";
}

function complain(problem) {
  find(".problem").textContent = problem ? `${problem.code ?? problem.name}: ${problem.message}` : "";
}

function log(direction, text) {
  const line = element("p", { class: direction });
  const arrow = { in: "←", out: "→", about: "·" }[direction];
  line.append(element("span", {}, `${new Date().toLocaleTimeString("en-GB")} ${arrow} `));
  line.append(text.replace(/eyJ[\w.-]+/g, "eyJ…"));
  wire.append(line);
  while (wire.childNodes.length > MOST_FRAMES) wire.firstChild.remove();
  wire.scrollTo(0, wire.scrollHeight);
}

function leave() {
  if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
  socket?.close();
  socket = null;
}

async function open(event) {
  event.preventDefault();
  leave();
  complain();
  tell("connecting", `Opening ${path.value}`);
  try {
    const url = new URL(path.value, location.origin);
    if (choice.value !== "none") {
      const chosen = choice.value === "other" ? token.value.trim() : choice.value;
      const { ticket } = await request("/api/tickets", { method: "POST", token: chosen });
      url.searchParams.set("ticket", ticket);
    }
    dial(url);
  } catch (problem) {
    tell("closed", "Not open");
    complain(problem);
    if (problem.status === 401) choice.value = "other";
    offerTokenField();
  }
}

function dial(url) {
  const opened = url.pathname;
  url.protocol = url.protocol.replace("http", "ws");
  leave();
  socket = new WebSocket(url, ["live.v1"]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    tell("live", `Open: ${opened}`);
    log("about", `Open: ${opened}`);
    frame.focus();
  };
  socket.onmessage = ({ data }) => {
    log("in", typeof data === "string" ? data : `${data.byteLength} bytes`);
    if (data === '{"type":"ping"}') say('{"type":"pong"}');
  };
  socket.onclose = ({ code, reason }) => {
    const wasOpen = find(".console").dataset.state === "live";
    const why = reason || (wasOpen ? "" : "not let in: the log of the service says why");
    const words = `Closed: ${code}${why && ` (${why})`}`;
    socket = null;
    tell(code === NORMAL ? "ended" : "closed", words);
    log("about", words);
  };
}

function say(text) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(text);
  log("out", text);
}

function close() {
  socket?.close(NORMAL);
}

/** An endpoint in a list, with what leads on from there. */
function entry(name, about, secured, ...more) {
  const needs = secured ? "Needs a token." : "Needs no token.";
  return element("li", {}, element("h3", {}, name), ...more, element("p", {}, ...prose(about ?? ""), ` ${needs}`));
}

function socketEntry([key, channel]) {
  const button = element("button", { type: "button", "aria-label": `Try ${channel.address}` }, "Try");
  button.addEventListener("click", () => {
    path.value = pathOf(channel);
    choose();
    find("#try").scrollIntoView();
    path.focus();
  });
  const link = element("a", { href: `/asyncapi#${key}` }, element("code", {}, channel.address));
  return entry(link, channel.description, needsToken(key), button);
}

function requestEntries([address, operations]) {
  return Object.entries(operations).map(([method, { description, summary, security }]) =>
    entry(element("code", {}, `${method.toUpperCase()} ${address}`), description ?? summary, Boolean(security?.length)),
  );
}

/** Offers tokens to choose from, before "none". */
function offerTokens(tokens) {
  const options = tokens.filter(Boolean).map((each) => element("option", { value: each }, `of user ${userOf(each)}`));
  choice.prepend(...options);
  choice.selectedIndex = 0;
}

const { info, paths } = await request("/openapi.json");
document.title = info.title;
find("h1").textContent = info.title;
find("#about").textContent = info.description;
find("#paths").append(...channels.map(([, channel]) => element("option", { value: pathOf(channel) })));
find("#sockets + ul").append(...channels.map(socketEntry));
find("#requests + ul").append(...Object.entries(paths).flatMap(requestEntries));
const tokens = await tokensToTry();
keep(tokens);
offerTokens(tokens);
path.value = channels.length ? pathOf(channels[0][1]) : "";
choose();
path.addEventListener("input", choose);
choice.addEventListener("change", offerTokenField);
opening.addEventListener("submit", open);
sending.addEventListener("submit", (event) => {
  event.preventDefault();
  say(frame.value);
});
find("[name=close]").addEventListener("click", close);
