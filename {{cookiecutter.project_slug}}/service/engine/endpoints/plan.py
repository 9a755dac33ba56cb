"""How the arguments of an endpoint are made of its handshake, worked out once: FastAPI does it anew each time.

A plan knows what most endpoints ask for: values of the path and the query, the handshake itself, and functions that
depend on these. For any other endpoint, and for a value that is wrong, FastAPI finds the arguments or the words.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction, isgeneratorfunction, unwrap
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from fastapi._compat import ModelField
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from starlette.requests import HTTPConnection

_SCALARS = (str, int, float, bool, bytes, Decimal, UUID, date, datetime, time, timedelta, NoneType)
_UNKNOWN = (
    "header_params", "cookie_params", "body_params", "request_param_name", "response_param_name",
    "background_tasks_param_name", "security_scopes_param_name", "own_oauth_scopes", "parent_oauth_scopes",
    "concurrency",
)  # fmt: skip
"""What makes a function one for FastAPI."""


class _NotPlain(Exception):
    """There is something that a plan does not know."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of the path or the query."""

    name: str
    alias: str
    field: ModelField
    default: Any
    is_required: bool


@dataclass(frozen=True, slots=True)
class _Step:
    """One function and where its arguments come from; results are of the steps before, by their numbers."""

    call: Callable[..., Any]
    is_async: bool
    handshakes: Sequence[str]
    of_path: Sequence[_Value]
    of_query: Sequence[_Value]
    results: Sequence[tuple[str, int]]


class Plan:
    """The functions to call for an endpoint, in order, the endpoint last."""

    def __init__(self, steps: Sequence[_Step]) -> None:
        self._steps = steps

    def arguments(self, handshake: HTTPConnection) -> list[dict[str, Any]] | None:
        """For each function what the handshake says; None if a value is missing or wrong. Nothing is called."""
        path, query = handshake.path_params, handshake.query_params
        found = []
        for step in self._steps:
            arguments: dict[str, Any] = dict.fromkeys(step.handshakes, handshake)
            if step.of_path and not _read(step.of_path, path, arguments):
                return None
            if step.of_query and not _read(step.of_query, query, arguments):
                return None
            found.append(arguments)
        return found

    async def follow(self, arguments: Sequence[dict[str, Any]]) -> None:
        """Call each function once, the endpoint with what the others returned."""
        made: list[Any] = []
        for step, own in zip(self._steps, arguments, strict=True):
            for name, number in step.results:
                own[name] = made[number]
            made.append(await (step.call(**own) if step.is_async else run_in_threadpool(step.call, **own)))


def plan_of(dependant: Dependant) -> Plan | None:
    """The plan for what FastAPI has found out about an endpoint; None if it asks for more than a plan knows."""
    steps: list[_Step] = []
    try:
        _add(dependant, steps, {})
    except _NotPlain:
        return None
    return Plan(steps)


def _read(values: Sequence[_Value], given: Mapping[str, Any], arguments: dict[str, Any]) -> bool:
    for value in values:
        said = given.get(value.alias)
        if said is not None:
            arguments[value.name], errors = value.field.validate(said)
            if errors:
                return False
        elif value.is_required:
            return False
        else:
            arguments[value.name] = value.default
    return True


def _add(dependant: Dependant, steps: list[_Step], numbers: dict[Callable[..., Any], int]) -> int:
    """Add a function, after those that it depends on; returns its number."""
    call = dependant.call
    if call is None or not dependant.use_cache or any(getattr(dependant, name) for name in _UNKNOWN):
        raise _NotPlain
    if not isfunction(call) or _is_any(call, isgeneratorfunction, isasyncgenfunction):
        raise _NotPlain
    if any(needed.scope for needed in dependant.dependencies):
        raise _NotPlain
    results = [(needed.name, _add(needed, steps, numbers)) for needed in dependant.dependencies]
    if call in numbers:
        return numbers[call]
    handshakes = [dependant.websocket_param_name, dependant.http_connection_param_name]
    steps.append(
        _Step(
            call=call,
            is_async=_is_any(call, iscoroutinefunction),
            handshakes=[name for name in handshakes if name],
            of_path=[_value(field) for field in dependant.path_params],
            of_query=[_value(field) for field in dependant.query_params],
            results=[(name, number) for name, number in results if name],
        )
    )
    numbers[call] = len(steps) - 1
    return numbers[call]


def _is_any(call: Callable[..., Any], *kinds: Callable[[Any], bool]) -> bool:
    """Whether a function is of one of these kinds, or one that it wraps: FastAPI looks at both."""
    return any(kind(each) for kind in kinds for each in (call, unwrap(call)))


def _value(field: ModelField) -> _Value:
    info = field.field_info
    plain = info.validation_alias in (None, field.alias) and not info.default_factory and not info.validate_default
    default = None if info.is_required() else info.default
    if not plain or not all(map(_is_scalar, _kinds(info.annotation))) or not isinstance(default, (*_SCALARS, Enum)):
        raise _NotPlain
    return _Value(field.name, field.alias, field, default, info.is_required())


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that an annotation leaves to choose from."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for kind in get_args(annotation):
            yield from _kinds(kind)
    elif origin is Literal:
        yield from map(type, get_args(annotation))
    else:
        yield annotation


def _is_scalar(kind: Any) -> bool:
    return isinstance(kind, type) and (kind in _SCALARS or issubclass(kind, Enum))
