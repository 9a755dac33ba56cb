"""The schemas of the AsyncAPI document, to hold against everything that tests see on the wire."""

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from service.asyncapi import document
from service.endpoints import routers
from service.project import read_project

Shape = frozenset[tuple[str, type]]


@cache
def spec() -> dict[str, Any]:
    """The document, with the demo endpoints."""
    return document(read_project(), routers(demo=True))


class Channel:
    """What may be on the wire of one endpoint."""

    def __init__(self, key: str) -> None:
        self._address = re.compile(re.sub(r"{\w+}", "[^/]+", spec()["channels"][key]["address"]))
        self._sent = self._payloads(key, "send")
        self._taken = self._payloads(key, "receive")
        self._seen: set[Shape] = set()

    @property
    def types_sent(self) -> set[str]:
        return set(self._sent)

    def is_at(self, path: str) -> bool:
        return self._address.fullmatch(path.partition("?")[0]) is not None

    def check_sent(self, message: Any) -> None:
        """A message that a client was sent has to be documented. Each shape is looked at once."""
        shape = frozenset((name, type(value)) for name, value in message.items()) if isinstance(message, dict) else None
        if shape is None or shape not in self._seen:
            self._check(self._sent, message)
        if shape is not None:
            self._seen.add(shape)

    def check_taken(self, message: Any) -> None:
        """So has one that the server took."""
        self._check(self._taken, message)

    def _check(self, payloads: dict[str, Any], message: Any) -> None:
        kind = message.get("type") if isinstance(message, dict) else None
        schemas = [payloads[kind]] if kind in payloads else list(payloads.values())
        Draft202012Validator({"anyOf": schemas, "components": spec()["components"]}).validate(message)

    def _payloads(self, key: str, action: str) -> dict[str, Any]:
        """By the message's `type`, or its name if it has none."""
        references = [reference["$ref"] for reference in spec()["operations"][f"{key}.{action}"]["messages"]]
        messages = [spec()["components"]["messages"][reference.rpartition("/")[2]] for reference in references]
        return {message["name"]: message["payload"] for message in messages}


@cache
def channels() -> list[Channel]:
    return [Channel(key) for key in spec()["channels"]]


def channel_at(path: str) -> Channel | None:
    """The channel of a path, if the service documents it: tests have endpoints of their own."""
    return next((channel for channel in channels() if channel.is_at(path)), None)


def check_sent(path: str, raw: str | bytes) -> None:
    """Hold a received frame against the document."""
    channel = channel_at(path)
    if channel is not None and isinstance(raw, str):
        channel.check_sent(json.loads(raw) if channel.types_sent.isdisjoint({"Text"}) else raw)
