/**
 * Lets a test drive the JavaScript client: options in the first argument, then one JSON command a line on stdin;
 * what happens is one JSON event a line on stdout. `module` and `kind` say what makes the connection, `historyOf` is
 * what the function of this name takes.
 */

import { createInterface } from "node:readline";

const { module, kind = "connect", token, historyOf, ...options } = JSON.parse(process.argv[2]);
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
          return current;
        },
  onMessage: (message) => tell({ message }),
  onState: (state) => tell({ state: { ...state, wait: state.until && state.until - Date.now() } }),
  onFrame: (direction, text) => tell({ [direction]: JSON.parse(text) }),
});

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
  retry: () => connection.retry(),
  close: () => connection.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [[command, argument]] = Object.entries(JSON.parse(line));
  commands[command](argument);
}
process.exit();
