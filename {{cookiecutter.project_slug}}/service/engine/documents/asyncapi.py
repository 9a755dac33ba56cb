"""The AsyncAPI 3.0 document: every endpoint and message, from the declarations and models that serve.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from types import UnionType
from typing import Annotated, Any, Never, Union, get_args, get_origin

from fastapi import APIRouter
from fastapi.routing import APIWebSocketRoute
from pydantic import JsonValue, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from service.engine.auth.handshake import SUBPROTOCOL
from service.engine.documents.streams import in_words, named_event, stream_channel
from service.engine.endpoints.many_streams import PATH as MANY_STREAMS
from service.engine.endpoints.router import Endpoint, Endpoints
from service.engine.foundation import wire
from service.engine.foundation.project import Project
from service.engine.foundation.wire import Answer, Message
from service.engine.link.codec import Control
from service.engine.streams.stream import Stream

Document = dict[str, Any]

_MODES: dict[str, JsonSchemaMode] = {"receive": "validation", "send": "serialization"}

_RAW = {
    JsonValue: ("Json", "application/json", "Any JSON.", {}),
    str: ("Text", "text/plain", "A text frame.", {"type": "string"}),
    bytes: ("Binary", "application/octet-stream", "A binary frame.", {"type": "string", "format": "binary"}),
}
_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "`Authorization: Bearer …`"},
    "tokenAsSubprotocol": {
        "type": "httpApiKey",
        "in": "header",
        "name": "Sec-WebSocket-Protocol",
        "description": f"a subprotocol `bearer.…`, offered next to `{SUBPROTOCOL}`",
    },
    "tokenInQuery": {"type": "httpApiKey", "in": "query", "name": "token", "description": "`?token=…`"},
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": "ticket",
        "description": "`?ticket=…`, from `POST /api/tickets`; good for one handshake. The way for browsers.",
    },
}
_SERVERS = {
    "development": {"host": "localhost:8000", "protocol": "ws", "description": "What `make run` starts."},
    "deployed": {
        "host": "{host}",
        "protocol": "wss",
        "description": "Behind a load balancer that ends TLS.",
        "variables": {"host": {"default": "example.com"}},
    },
}


def document(project: Project, routers: Iterable[APIRouter], streams: Sequence[Stream[Any]]) -> Document:
    """The document of the endpoints that these routers declare, and of the streams that can be followed."""
    channels: Document = {}
    operations: Document = {}
    messages: Document = {}
    used: set[tuple[type[Message], JsonSchemaMode]] = set()
    for endpoint, route in _declared(routers):
        name = _key(endpoint.path)
        directions = {"receive": _taken(endpoint), "send": _sent(endpoint)}
        if endpoint.path == MANY_STREAMS:
            directions["send"] += dict.fromkeys(named_event(stream) for stream in streams)
        channels[name] = _channel(endpoint, route, set(chain.from_iterable(directions.values())))
        for action, kinds in directions.items():
            operations[f"{name}.{action}"] = _operation(name, action, kinds, secured=endpoint.authenticated)
            messages |= {_name(kind): _message(kind) for kind in kinds}
            used |= {(kind, _MODES[action]) for kind in kinds if kind not in _RAW}
    for stream in streams:
        name, event = f"stream_{_key(stream.name)}", named_event(stream)
        channels[name] = stream_channel(stream, event)
        operations[f"{name}.send"] = _operation(name, "send", [event], secured=True)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": project.name, "version": project.version, "description": project.description},
        "defaultContentType": "application/json",
        "servers": _SERVERS,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": dict(sorted(messages.items())),
            "schemas": _schemas(used),
            "securitySchemes": _SECURITY,
        },
    }


def _key(address: str) -> str:
    return re.sub(r"\W+", "_", address).strip("_")


def _declared(routers: Iterable[APIRouter]) -> Iterator[tuple[Endpoint, APIWebSocketRoute]]:
    for router in routers:
        if isinstance(router, Endpoints):
            routes = [route for route in router.routes if isinstance(route, APIWebSocketRoute)]
            yield from zip(router.declared, routes, strict=True)


def _taken(endpoint: Endpoint) -> list[Any]:
    """What clients may send: what was declared, and what the codec takes besides."""
    declared = _members(endpoint.incoming)
    control = [kind for kind in get_args(Control) if endpoint.authenticated or kind is not wire.Authenticate]
    return [*declared, *control] if _speaks_messages(endpoint) else declared


def _sent(endpoint: Endpoint) -> list[Any]:
    """What clients may be sent: what was declared, and what the engine says besides."""
    kinds: list[Any] = [*_members(endpoint.outgoing), wire.Error]
    if _speaks_messages(endpoint):
        kinds += [wire.Pong, wire.Ping, wire.Authenticated] if endpoint.authenticated else [wire.Pong]
    if endpoint.resumes:
        kinds += [wire.CaughtUp, wire.HistoryGap]
    return [*kinds, wire.Reconnect] if _speaks_json(endpoint) else kinds


def _speaks_json(endpoint: Endpoint) -> bool:
    return not set(_members(endpoint.incoming)) & {str, bytes}


def _speaks_messages(endpoint: Endpoint) -> bool:
    return not set(_members(endpoint.incoming)) & set(_RAW)


def _members(declared: Any) -> list[Any]:
    if declared is Never:
        return []
    return list(get_args(declared)) if get_origin(declared) in {Union, UnionType} else [declared]


def _channel(endpoint: Endpoint, route: APIWebSocketRoute, kinds: set[Any]) -> Document:
    queried = {field.alias: _schema(field.field_info) for field in route.dependant.query_params}
    headers = {"Sec-WebSocket-Protocol": {"type": "string", "enum": [SUBPROTOCOL]}}
    return {
        "address": endpoint.path,
        "title": endpoint.handler.__name__.replace("_", " ").capitalize(),
        "description": _description(endpoint),
        "parameters": {field.alias: _parameter(field.field_info) for field in route.dependant.path_params},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in sorted(_name(kind) for kind in kinds)},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {"type": "object", "properties": queried},
                "headers": {"type": "object", "properties": headers},
            }
        },
    }


def _description(endpoint: Endpoint) -> str:
    needed = f"\n\nThe token needs the scope {', '.join(endpoint.scopes)}." if endpoint.scopes else ""
    return f"{inspect.getdoc(endpoint.handler) or ''}{needed}"


def _operation(channel: str, action: str, kinds: list[Any], *, secured: bool) -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": "What a client may send." if action == "receive" else "What a client may be sent.",
        "messages": [{"$ref": f"#/channels/{channel}/messages/{_name(kind)}"} for kind in kinds],
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY] if secured else [],
    }


def _message(kind: Any) -> Document:
    if kind in _RAW:
        name, content_type, summary, schema = _RAW[kind]
        return {"name": name, "title": name, "summary": summary, "contentType": content_type, "payload": schema}
    tag = kind.model_fields.get("type")
    return {
        "name": tag.default if tag else kind.__name__,
        "title": kind.__name__,
        "summary": inspect.getdoc(kind),
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
    }


def _name(kind: Any) -> str:
    return _RAW[kind][0] if kind in _RAW else str(kind.__name__)


def _schemas(used: set[tuple[type[Message], JsonSchemaMode]]) -> Document:
    inputs = sorted(used, key=lambda kind: (kind[0].__name__, kind[1]))
    _, definitions = models_json_schema(inputs, ref_template="#/components/schemas/{model}")
    schemas: Document = definitions.get("$defs", {})
    for schema in schemas.values():
        _as_on_the_wire(schema)
    for kind, mode in inputs:
        if mode == "serialization" and issubclass(kind, Answer):  # leaves out what has no value
            for described in schemas[kind.__name__]["properties"].values():
                _without_null(described)
    return schemas


def _as_on_the_wire(schema: Document) -> None:
    """Constants (`type`) are always there, and a field's name again as its title says nothing."""
    properties = schema.get("properties", {})
    for described in properties.values():
        described.pop("title", None)
        described.pop("default", None)
    required = schema.get("required", [])
    if properties:
        schema["required"] = [name for name, field in properties.items() if name in required or "const" in field]


def _without_null(described: Document) -> None:
    present = [choice for choice in described.get("anyOf", []) if choice != {"type": "null"}]
    if len(present) == 1:
        del described["anyOf"]
        described |= present[0]


def _schema(info: Any) -> Document:
    described: Document = TypeAdapter(Annotated[info.annotation, info]).json_schema()
    described.pop("default", None)
    _without_null(described)
    return described


def _parameter(info: Any) -> Document:
    return {"description": info.description or in_words(_schema(info))}
