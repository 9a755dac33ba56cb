"""From a received frame to the message that an endpoint declared to take."""

from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Never, NotRequired, Union, get_args, get_origin

from pydantic import Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from service.engine.foundation.problems import Problem
from service.engine.foundation.wire import Authenticate, ClientId, Message, Ping, Pong, first_problem

Control = Ping | Pong | Authenticate

_LONGEST_WITH_ID = 65_536


class _Identified(TypedDict):
    client_id: NotRequired[ClientId]


_FROM_CLIENT = TypeAdapter(_Identified)


class BinaryNotAllowed(Exception):
    """A binary frame came where JSON is spoken."""


class Codec:
    """Decodes what an endpoint with incoming type `incoming` receives.

    `str | bytes` takes frames as they are, `JsonValue` takes any JSON, and one message class or a union of them takes
    these, told apart by their `type`, and the control messages. `Never` takes the control messages alone.
    """

    def __init__(self, incoming: Any) -> None:
        types = () if incoming is Never else get_args(incoming) if _is_union(incoming) else (incoming,)
        self.takes_control = False
        self.speaks_json = True
        if incoming is JsonValue:
            self.decode = _any_json
        elif types and set(types) <= {str, bytes}:
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
            problems = error.errors(include_url=False, include_input=False)
            if problems[0]["type"] == "union_tag_invalid":
                expected = problems[0]["ctx"]["expected_tags"]
                raise Problem.invalid_message("type", f"must be one of {expected}") from None
            if problems[0]["type"] == "union_tag_not_found":
                raise Problem.invalid_message("type", "a message is an object with a known type") from None
            raise Problem("invalid_message", first_problem(problems, skip=1)) from None


def client_id_of(data: str | bytes) -> str | None:
    """The `client_id` of a message that is not processed, if it is short and can be read at all."""
    if isinstance(data, bytes) or len(data) > _LONGEST_WITH_ID:
        return None
    try:
        return _FROM_CLIENT.validate_json(data).get("client_id")
    except ValueError:
        return None


def _is_union(incoming: Any) -> bool:
    return get_origin(incoming) in {Union, UnionType}


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
