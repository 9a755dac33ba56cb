"""From the name of a stream, as clients write it, to the stream."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from sqlalchemy.types import TypeDecorator, TypeEngine

from service.engine.foundation.identity import user_id
from service.engine.foundation.problems import Problem
from service.engine.foundation.settings import SubjectType
from service.engine.foundation.wire import BIGGEST_INTEGER, Number, Storable, UserIdField
from service.engine.storage.rows import UserIdText
from service.engine.streams.stream import Stream, StreamKey, unescape

Read = Callable[[str], Any]
"""Makes a parameter's value of its text; raises ValueError."""

_IN_A_NAME: dict[type, Any] = {int: Annotated[Number, Field(ge=0, le=BIGGEST_INTEGER)], str: Annotated[str, Storable]}
"""How parameters are read that have few values in a name; of other types pydantic knows."""


class StreamNames:
    """The names that an application's streams can have.

    A stream has one name: what is written otherwise (`notes/07`, `Notes/7`, `notes/%37`) is the name of none.
    """

    def __init__(self, declared: Sequence[Stream[Any]], subject_type: SubjectType) -> None:
        self._declared = [(stream, stream.name.split("/"), _readers(stream, subject_type)) for stream in declared]

    def key(self, name: str) -> StreamKey[Any]:
        """The stream of this name; raises Problem, 404 `unknown_stream`."""
        parts = name.split("/")
        for stream, pattern, readers in self._declared:
            if len(parts) == len(pattern) and (values := _values(pattern, parts, readers)) is not None:
                key = stream(*values)
                if key.name == name:
                    return key
        raise Problem("unknown_stream", "There is no stream of this name.", status=404)


def _values(pattern: Sequence[str], parts: Sequence[str], readers: Sequence[Read]) -> list[Any] | None:
    values: list[Any] = []
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            try:
                values.append(readers[len(values)](unescape(part)))
            except ValueError:
                return None
        elif wanted != part:
            return None
    return values


def parameter_types(stream: Stream[Any]) -> dict[str, Any]:
    """What the parameters in a stream's name are, as pydantic describes types."""
    columns = {attribute.key: attribute.columns[0].type for attribute in stream.mapper.column_attrs}
    return {name: _type_in_name(columns[name]) for name in stream.parameters}


def _type_in_name(column: TypeEngine[Any]) -> Any:
    if isinstance(column, UserIdText):
        return UserIdField
    kind = (column.impl_instance if isinstance(column, TypeDecorator) else column).python_type
    return _IN_A_NAME.get(kind, kind)


def _readers(stream: Stream[Any], subject_type: SubjectType) -> list[Read]:
    def reader(kind: Any) -> Read:
        if kind is UserIdField:
            return lambda text: user_id(text, subject_type)
        return TypeAdapter[Any](kind).validate_python

    return [reader(kind) for kind in parameter_types(stream).values()]
