/** What the pages of the documents share: the AsyncAPI document, its schemas in words and examples, and elements. */

export const asyncapi = await (await fetch("/asyncapi.json")).json();

/** An element with attributes and children; texts are texts, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** Text in which `code` is code. */
export function prose(text = "") {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

/** A part of the document, where a reference to it stands. */
export function resolve(part) {
  if (!part?.$ref) return part;
  return resolve(part.$ref.slice(2).split("/").reduce((within, key) => within[key], asyncapi));
}

/** A schema in a few words: `integer, 1 or more`. */
export function typeOf(schema) {
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
export function example(schema) {
  const { anyOf, const: constant, type, format, minimum, items, properties } = resolve(schema);
  if (constant !== undefined) return constant;
  if (anyOf) return example(anyOf[0]);
  if (format === "date-time") return "2026-01-31T12:00:00Z";
  if (properties) return Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, example(field)]));
  if (items) return [example(items)];
  return { string: "…", integer: minimum ?? 1, number: 0.5, boolean: true, object: {} }[type] ?? {};
}
