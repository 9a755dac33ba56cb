"""From a received frame to the message that an endpoint declared to take."""

from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json

from service.problems import Problem
from service.wire import Authenticate, Message, Ping, Pong, first_problem

Control = Ping | Pong | Authenticate


class BinaryNotAllowed(Exception):
    """A binary frame came where JSON is spoken."""


class Codec:
    """Decodes what an endpoint with incoming type `incoming` receives.

    `str | bytes` takes frames as they are, `JsonValue` takes any JSON, and one message class or a union of them takes
    these, told apart by their `type`, and the control messages.
    """

    def __init__(self, incoming: Any) -> None:
        types = get_args(incoming) if get_origin(incoming) in {Union, UnionType} else (incoming,)
        self.takes_control = False
        self.speaks_json = True
        if incoming is JsonValue:
            self.decode = _any_json
        elif set(types) <= {str, bytes}:
            self.speaks_json = False
            self.decode = _as_it_is
        elif all(isinstance(kind, type) and issubclass(kind, Message) for kind in types):
            self.takes_control = True
            message: Any = Annotated[reduce(or_, types, Control), Field(discriminator="type")]
            self._adapter: TypeAdapter[Any] = TypeAdapter(message)
            self.decode = self._message
        else:
            raise TypeError(f"an endpoint takes messages, JsonValue, or str | bytes, not {incoming}")

    def _message(self, data: str | bytes) -> Any:
        """Raises: Problem (`invalid_json`, `invalid_message`), BinaryNotAllowed."""
        if isinstance(data, bytes):
            raise BinaryNotAllowed
        try:
            return self._adapter.validate_json(data)
        except ValidationError as error:
            _any_json(data)
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            if problems[0]["type"].startswith("union_tag"):
                raise Problem.invalid_message("type", _expected(problems[0]["msg"])) from None
            raise Problem("invalid_message", first_problem(problems, skip=1)) from None


def _expected(sentence: str) -> str:
    _, marker, tags = sentence.partition("expected tags: ")
    return f"must be one of {tags}" if marker else "a message is an object with a known type"


def _as_it_is(data: str | bytes) -> Any:
    return data


def _any_json(data: str | bytes) -> Any:
    """Raises: Problem (`invalid_json`), BinaryNotAllowed."""
    if isinstance(data, bytes):
        raise BinaryNotAllowed
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise Problem("invalid_json", f"Invalid JSON: {error}"[:500]) from None
