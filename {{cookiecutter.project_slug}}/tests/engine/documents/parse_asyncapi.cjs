/** Prints what the official AsyncAPI parser has to say about a document: node parse_asyncapi.cjs PARSER DOCUMENT */

const { readFileSync } = require("node:fs");

// The bundle is one file, made for browsers.
globalThis.self = globalThis.window = globalThis;
const [parser, document] = process.argv.slice(2);
const log = console.log;
console.log = () => {};
const Parser = require(parser);
new Parser().validate(readFileSync(document, "utf8")).then((found) => log(JSON.stringify(found)));
