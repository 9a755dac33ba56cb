"""The declaration of a stream: its name, where its rows are, what an event looks like, and who may read it."""

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Table, UniqueConstraint
from sqlalchemy import inspect as inspected
from sqlalchemy.orm import Mapper

from service.engine.auth.principal import Principal
from service.engine.foundation.wire import Message, UserId
from service.engine.storage.database import Database
from service.engine.storage.rows import EventRow

R = TypeVar("R", bound=EventRow)
Reader = Callable[..., Awaitable[None]]
F = TypeVar("F", bound=Reader)

_PARAMETER = re.compile(r"\{(\w+)\}")
_NAME = re.compile(r"[A-Za-z0-9_.-]+(/([A-Za-z0-9_.-]+|\{\w+\}))*")
RESERVED = ("events", "presence")
"""What may follow a stream's name in the address of one of its ways."""
_OF_ITS_WAYS = {"user", "database", "request", "after", "limit", "last_event_id"}
"""Names of what its reader and its addresses take besides."""


class DeclarationError(Exception):
    """A stream that is declared so cannot work. The message is one line that names it."""


class Stream(Generic[R]):
    """A kind of stream: `NOTES("…")` is one of them.

    - `name`: one stream for each value of its parameters, which are columns of its rows: `notes/{page_id}`.
    - `rows`: the table that keeps its events.
    - `event`: what subscribers are sent, made of a row by `Message.of`.
    - `once`: columns that say which rows are the same: of those in one stream only the first is stored.
    - `signals`: whether subscribers may tell each other what is not stored: who is typing, where a cursor is.
    - `presence`: whether subscribers may ask who is there.
    """

    def __init__(
        self,
        name: str,
        *,
        rows: type[R],
        event: type[Message],
        once: Sequence[str] = (),
        signals: bool = False,
        presence: bool = False,
    ) -> None:
        self.name = name
        self.rows = rows
        self.event = event
        self.once = tuple(once)
        self.signals = signals
        self.presence = presence
        self.parameters: tuple[str, ...] = tuple(_PARAMETER.findall(name))
        self._reader: Reader | None = None
        self._reader_wants: frozenset[str] = frozenset()

    def __call__(self, *values: UserId) -> "StreamKey[R]":
        """The stream of these values of its parameters."""
        if len(values) != len(self.parameters):
            raise TypeError(f"{self.name} takes {len(self.parameters)} values, not {len(values)}")
        return StreamKey(self, values)

    def reader(self, function: F) -> F:
        """Declare who may read: an asynchronous function that raises Forbidden to refuse.

        It takes, by name, the stream's parameters, `user` (a Principal) and `database`, those of them that it needs.
        It is asked once for each subscription and for each look into history.
        """
        self._reader = function
        self._reader_wants = frozenset(inspect.signature(function).parameters)
        return function

    async def check_reader(self, key: "StreamKey[R]", user: Principal, database: Database) -> None:
        """Raise Problem if `user` may not read `key`."""
        assert self._reader is not None, f"{self.name} has no reader"
        offered = key.parameters | {"user": user, "database": database}
        await self._reader(**{name: offered[name] for name in self._reader_wants})

    @property
    def rights(self) -> str:
        """Who may read, in the words of the reader's docstring."""
        return inspect.getdoc(self._reader) or ""

    @property
    def mapper(self) -> Mapper[R]:
        mapper: Mapper[R] = inspected(self.rows)
        return mapper

    @property
    def table(self) -> Table:
        table = self.mapper.local_table
        assert isinstance(table, Table)
        return table

    def problems(self) -> list[str]:
        """Why a stream that is declared like this cannot work."""
        if not _NAME.fullmatch(self.name):
            return ["its name is not of the form notes/{page_id}"]
        columns = set(self.table.columns.keys())
        needed = (*self.parameters, *self.once, "id", "seq", "origin", "created_at")
        found = [f"{self.rows.__name__} has no column {name}" for name in needed if name not in columns]
        if not self._is_unique("seq"):
            found.append(f"{self.rows.__name__} needs a {_constraint(*self.parameters, 'seq')}")
        if self.once and not self._is_unique(*self.once):
            found.append(f"once needs a {_constraint(*self.parameters, *self.once)} on {self.rows.__name__}")
        if "stream" in self.event.model_fields:
            found.append(
                "its event has a field named stream, which is where many of them on one connection name theirs"
            )
        found += [f"the event needs {name}, which {self.rows.__name__} has not" for name in self._missing()]
        if self._reader is None:
            found.append("it has no reader: declare one with @….reader")
        found += [f"{name} needs a server_default: only SQL can work out its default" for name in self._sql_defaults()]
        found += [f"a parameter may not be named {name}" for name in self.parameters if name in _OF_ITS_WAYS]
        unknown = sorted(self._reader_wants - {*self.parameters, "user", "database"})
        return found + [f"its reader asks for {name}, which nobody gives it" for name in unknown]

    def _sql_defaults(self) -> list[str]:
        defaults = {column.key: column.default for column in self.table.columns if column.default is not None}
        return [name for name, default in defaults.items() if not (default.is_scalar or default.is_callable)]

    def _is_unique(self, *names: str) -> bool:
        wanted = {*self.parameters, *names}
        keys = [constraint.columns for constraint in self.table.constraints if isinstance(constraint, UniqueConstraint)]
        keys += [index.columns for index in self.table.indexes if index.unique and not index.dialect_kwargs]
        return any({column.name for column in key} == wanted for key in keys)

    def _missing(self) -> list[str]:
        fields = {
            field.validation_alias or name: field for name, field in self.event.model_fields.items() if name != "type"
        }
        return [
            str(name) for name, field in fields.items() if field.is_required() and not hasattr(self.rows, str(name))
        ]


class StreamKey(Generic[R]):
    """One stream: a kind, and the values of its parameters; `name` is its row in `streams` and its topic."""

    __slots__ = ("name", "stream", "values")

    def __init__(self, stream: Stream[R], values: tuple[UserId, ...]) -> None:
        self.stream = stream
        self.values = values
        texts = map(escape, map(str, values))
        self.name = _PARAMETER.sub(lambda _: next(texts), stream.name)

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(zip(self.stream.parameters, self.values, strict=True))

    def __repr__(self) -> str:
        return f"StreamKey({self.name})"


def check_streams(streams: Sequence[Stream[Any]]) -> None:
    """Refuse declarations that cannot work.

    Raises:
        DeclarationError: The first of them, and why.
    """
    for number, stream in enumerate(streams):
        if problems := stream.problems():
            raise DeclarationError(f"the stream {stream.name} cannot work: {'; '.join(problems)}")
        for other in streams[:number]:
            if _overlap(stream.name, other.name) or _lie_in_the_way(stream.name, other.name):
                raise DeclarationError(f"the streams {other.name} and {stream.name} could have the same name")
            if stream.table is other.table:
                raise DeclarationError(f"the streams {other.name} and {stream.name} share a table")


def _overlap(one: str, other: str) -> bool:
    ones, others = one.split("/"), other.split("/")
    return len(ones) == len(others) and all(
        first == second or "{" in first + second for first, second in zip(ones, others, strict=True)
    )


def _lie_in_the_way(one: str, other: str) -> bool:
    """Whether the address of one could be that of the other's events."""
    return any(
        _overlap(f"{first}/{last}", second) for first, second in ((one, other), (other, one)) for last in RESERVED
    )


def escape(value: str) -> str:
    """A parameter's text as it stands in a stream's name, of which it is one part: `a/b` must not be two."""
    return value.replace("%", "%25").replace("/", "%2F")


def unescape(part: str) -> str:
    """What `escape` has made of a text, or something that it makes another of."""
    return part.replace("%2F", "/").replace("%25", "%")


def _constraint(*names: str) -> str:
    return f"UniqueConstraint({', '.join(map(repr, names))})"
