"""The messages as TypeScript declarations, made of the AsyncAPI document."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

Schema = dict[str, Any]

_PRIMITIVES = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}
_NAME = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_MAPS = {
    "ClientMessages": ("receive", "What a client may send, by the address of the endpoint."),
    "ServerMessages": ("send", "What a client may be sent, by the address of the endpoint."),
}


def declarations(document: dict[str, Any]) -> str:
    """The text of a `.d.ts` file."""
    lines = ["/** The messages of this service, made of its AsyncAPI document by `python -m service types`. */"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += ["", *_declared(name, schema)]
    for name, (action, summary) in _MAPS.items():
        spoken = ((address, kinds) for address, kinds in _spoken(document, action) if address.startswith("/"))
        lines += ["", *_map(name, summary, spoken)]
    streams = ((address, kinds) for address, kinds in _spoken(document, "send") if not address.startswith("/"))
    lines += ["", *_map("StreamEvents", "The events of each kind of stream, as `subscribe` hands them over.", streams)]
    return "\n".join(lines) + "\n"


def _declared(name: str, schema: Schema) -> Iterator[str]:
    yield from _description(schema, "")
    if "properties" not in schema:
        yield f"export type {name} = {_type(schema)};"
        return
    yield f"export interface {name} {{"
    yield from _fields(schema, "  ")
    yield "}"


def _fields(schema: Schema, indent: str) -> Iterator[str]:
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        yield from _description(field, indent)
        key = name if _NAME.fullmatch(name) else json.dumps(name)
        yield f"{indent}{key}{'' if name in required else '?'}: {_type(field)};"


def _description(schema: Schema, indent: str) -> Iterator[str]:
    if description := schema.get("description"):
        text = " ".join(description.split()).replace("*/", "*\\/")
        yield f"{indent}/** {text} */"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return _union(json.dumps(value, ensure_ascii=False) for value in values)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return _union(map(_type, choices))
    return _plain(schema)


def _plain(schema: Schema) -> str:
    match schema.get("type"):
        case list() as kinds:
            return _union(_plain(schema | {"type": kind}) for kind in kinds)
        case "array":
            return _array(schema)
        case "object":
            return _object(schema)
        case kind:
            return _PRIMITIVES.get(str(kind), "unknown")


def _array(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(map(_type, schema['prefixItems']))}]"
    return f"Array<{_type(schema.get('items', {}))}>"


def _object(schema: Schema) -> str:
    if "properties" in schema:
        return f"{{ {' '.join(_fields({**schema, 'properties': _bare(schema)}, ''))} }}"
    values = schema.get("additionalProperties", True)
    return f"Record<string, {_type(values) if isinstance(values, dict) else 'unknown'}>"


def _bare(schema: Schema) -> Schema:
    """Its properties without descriptions, which have no place in the middle of a line."""
    return {
        name: {key: value for key, value in field.items() if key != "description"}
        for name, field in schema["properties"].items()
    }


def _union(kinds: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(kinds)) or "never"


def _spoken(document: dict[str, Any], action: str) -> Iterator[tuple[str, list[str]]]:
    """Addresses, and the types of what is spoken there."""
    messages = document["components"]["messages"]
    for operation in document["operations"].values():
        if operation["action"] == action:
            channel = document["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
            spoken = [messages[message["$ref"].rpartition("/")[2]] for message in operation["messages"]]
            yield channel["address"], [_type(message["payload"]) for message in spoken]


def _map(name: str, summary: str, entries: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
    yield f"/** {summary} */"
    yield f"export interface {name} {{"
    for address, kinds in entries:
        yield f"  {json.dumps(address)}: {_union(kinds)};"
    yield "}"
