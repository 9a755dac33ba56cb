/**
 * Lets a test drive the JavaScript client: options in the first argument, then one JSON command a line on stdin;
 * what happens is one JSON event a line on stdout. `module` and `kind` say what makes the connection, `historyOf` is
 * what the function of this name takes, `without` names what this Node is to lack, `bug` is thrown instead of a token.
 */

import { createInterface } from "node:readline";

const { module, kind = "connect", token, historyOf, without, bug, ...options } = JSON.parse(process.argv[2]);
if (without) delete globalThis[without];
const page = new EventTarget();
globalThis.addEventListener = page.addEventListener.bind(page);
const client = await import(module);
const tell = (event) => console.log(JSON.stringify(event));
let current = token;

const connection = client[kind]({
  ...options,
  ...(historyOf && { history: client.historyOf(...historyOf) }),
  token:
    options.fixed || token === undefined
      ? token
      : () => {
          tell({ asked: true });
          if (bug) throw new TypeError(bug);
          return current;
        },
  onMessage: (message) => tell({ message }),
  onState: ({ cause, ...state }) =>
    tell({ state: { ...state, wait: state.until && state.until - Date.now(), cause: cause && `${cause.cause ?? cause}` } }),
  onFrame: (direction, text) => tell({ [direction]: JSON.parse(text) }),
});
const subscriptions = new Map();

const commands = {
  deliver: (message) =>
    connection.deliver(message).then(
      (answer) => tell({ answer }),
      ({ code, message: why }) => tell({ problem: { code, message: why } }),
    ),
  send: (message) => tell({ sent: connection.send(message) }),
  token: (newer) => {
    current = newer;
  },
  position: (stream) => tell({ position: connection.positionOf(stream ?? undefined) ?? null }),
  subscribe: ([stream, after, presence]) => {
    const onState = (state) => tell({ stream: { stream, ...state } });
    const onEvent = (event) => tell({ event });
    const onPresence = ({ present, count }) => tell({ present: { stream, users: [...present], count } });
    const onSignal = (signal) => tell({ signal });
    const followed = { after: after ?? undefined, presence, onEvent, onState, onPresence, onSignal };
    subscriptions.set(stream, connection.subscribe(stream, followed));
  },
  signal: ([stream, data]) => tell({ signalled: subscriptions.get(stream).signal(data) }),
  unsubscribe: (stream) => subscriptions.get(stream).unsubscribe(),
  reached: (stream) => tell({ reached: subscriptions.get(stream).position ?? null }),
  transport: () => tell({ transport: connection.transport }),
  wake: () => page.dispatchEvent(new Event("pageshow")),
  retry: () => connection.retry(),
  close: () => connection.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [[command, argument]] = Object.entries(JSON.parse(line));
  commands[command](argument);
}
process.exit();
