"""The AsyncAPI documents of the services under test, to hold against everything that tests see on the wire."""

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

Shape = frozenset[tuple[str, type]]
_documents: dict[str, str] = {}


class Channel:
    """What may be on the wire of one endpoint of a document."""

    def __init__(self, document: dict[str, Any], key: str) -> None:
        self._document = document
        self._address = re.compile(re.sub(r"{\w+}", "[^/]+", document["channels"][key]["address"]))
        self._sent = self._payloads(key, "send")
        self._taken = self._payloads(key, "receive")
        self._seen: set[Shape] = set()

    @property
    def types_sent(self) -> set[str]:
        return set(self._sent)

    def is_at(self, path: str) -> bool:
        return self._address.fullmatch(path.partition("?")[0]) is not None

    def check_raw(self, raw: str | bytes) -> None:
        """Hold a frame that a client was sent against the document."""
        if isinstance(raw, str):
            self.check_sent(json.loads(raw) if self.types_sent.isdisjoint({"Text"}) else raw)

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
        Draft202012Validator({"anyOf": schemas, "components": self._document["components"]}).validate(message)

    def _payloads(self, key: str, action: str) -> dict[str, Any]:
        """By the message's `type`, or its name if it has none."""
        references = [reference["$ref"] for reference in self._document["operations"][f"{key}.{action}"]["messages"]]
        messages = [self._document["components"]["messages"][reference.rpartition("/")[2]] for reference in references]
        return {message["name"]: message["payload"] for message in messages}


def learn(address: str, document: dict[str, Any]) -> None:
    """Remember what the service at an address says of itself."""
    _documents[address] = json.dumps(document)


def channel_at(address: str, path: str) -> Channel | None:
    """What the service at an address documents of a path; None of an address that nobody has told of."""
    document = _documents.get(address)
    return None if document is None else next((each for each in channels(document) if each.is_at(path)), None)


@cache
def channels(document: str) -> list[Channel]:
    """The channels of a document, made once however many services share it."""
    parsed = json.loads(document)
    paths = [key for key, channel in parsed["channels"].items() if channel["address"].startswith("/")]
    return [Channel(parsed, key) for key in paths]
