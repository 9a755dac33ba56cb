"""A declaration that cannot work stops at start with one line that names it, not at the first message."""

import textwrap
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field
from sqlalchemy import Index, UniqueConstraint, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.engine.auth.principal import Principal
from service.engine.foundation.wire import Message
from service.engine.storage.rows import EventRow
from service.engine.streams.stream import DeclarationError, Stream, check_streams
from tests.engine.kit.commands import PROJECT, SECRET_KEY, Commands


class Base(DeclarativeBase):
    """Of the tables of these tests, which no database has."""


class NoteModel(EventRow, Base):
    __tablename__ = "notes"
    __table_args__ = (
        UniqueConstraint("page_id", "seq"),
        UniqueConstraint("page_id", "client_id"),
        Index("drafts_are_told_apart", "page_id", "draft", unique=True, postgresql_where="draft is not null"),
    )

    page_id: Mapped[int]
    client_id: Mapped[str | None]
    draft: Mapped[str | None]
    text: Mapped[str]


class UncountedModel(EventRow, Base):
    """Without a unique key over its position."""

    __tablename__ = "uncounted"

    page_id: Mapped[int]


class PlainModel(Base):
    """A table, but none of events."""

    __tablename__ = "plain"

    id: Mapped[int] = mapped_column(primary_key=True)
    page_id: Mapped[int]


class DatedModel(EventRow, Base):
    """With a default that only SQL can work out."""

    __tablename__ = "dated"
    __table_args__ = (UniqueConstraint("page_id", "seq"),)

    page_id: Mapped[int]
    year: Mapped[int] = mapped_column(default=func.date_part("year", func.now()))


class Note(Message):
    note_id: Annotated[int, Field(validation_alias="id")]
    text: str


class SignedNote(Note):
    """Needs what no row has."""

    author: str


class Page(Message):
    """Needs what every row has."""

    page_id: int


class LaterNote(Note):
    """Needs nothing that has a default."""

    color: str = "yellow"


async def everybody(user: Principal) -> None:
    """May."""


async def a_friend(user: Principal, friends: list[int]) -> None:
    """Asks for what nobody gives."""


def stream(name: str, reader: Any = everybody, **declared: Any) -> Stream[Any]:
    made: Stream[Any] = Stream(name, **({"rows": NoteModel, "event": Note} | declared))
    if reader is not None:
        made.reader(reader)
    return made


WORKING = [
    stream("notes/{page_id}"),
    stream("notes/{page_id}", once=("client_id",)),
    stream("pages/{page_id}/notes", event=LaterNote),
]
BROKEN: dict[str, tuple[list[Stream[Any]], list[str]]] = {
    "no unique key behind once": (
        [stream("notes/{page_id}", once=("text",))],
        ["once needs a UniqueConstraint('page_id', 'text') on NoteModel"],
    ),
    "a unique key behind once that does not always count": (
        [stream("notes/{page_id}", once=("draft",))],
        ["once needs a UniqueConstraint('page_id', 'draft') on NoteModel"],
    ),
    "once by a column that is none": ([stream("notes/{page_id}", once=("nothing",))], ["no column nothing"]),
    "a row without what the event needs": ([stream("notes/{page_id}", event=SignedNote)], ["the event needs author"]),
    "no reader": ([stream("notes/{page_id}", reader=None)], ["no reader"]),
    "a reader who asks for more": ([stream("notes/{page_id}", reader=a_friend)], ["asks for friends"]),
    "a parameter that is no column": ([stream("notes/{book_id}")], ["NoteModel has no column book_id"]),
    "no unique key over the position": (
        [stream("notes/{page_id}", rows=UncountedModel)],
        ["UncountedModel needs a UniqueConstraint('page_id', 'seq')"],
    ),
    "rows that are no events": ([stream("notes/{page_id}", rows=PlainModel)], ["PlainModel has no column seq"]),
    "several things at once": (
        [stream("notes/{page_id}", reader=None, event=SignedNote)],
        ["the event needs author", "no reader"],
    ),
    "the old form of a name": ([stream("notes:{page_id}")], ["its name is not of the form"]),
    "a name with nothing between": ([stream("notes//{page_id}")], ["its name is not of the form"]),
    "no name": ([stream("")], ["its name is not of the form"]),
    "two of one name": ([stream("notes/{page_id}"), stream("notes/{page_id}")], ["could have the same name"]),
    "a name that another could have": (
        [stream("notes/{page_id}"), stream("notes/latest", rows=DatedModel)],
        ["the stream notes/latest"],
    ),
    "a default that only SQL can work out": (
        [stream("pages/{page_id}", rows=DatedModel, event=Page)],
        ["year needs a server_default"],
    ),
    "two of one table": ([stream("notes/{page_id}"), stream("pages/{page_id}")], ["share a table"]),
}


@pytest.mark.parametrize("declared", WORKING, ids=lambda one: f"{one.name} {one.once}")
def test_a_declaration_that_works_is_let_through(declared: Stream[Any]) -> None:
    check_streams([declared])


@pytest.mark.parametrize(("declared", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_declaration_that_cannot_work_is_named_in_one_line(declared: list[Stream[Any]], said: list[str]) -> None:
    with pytest.raises(DeclarationError) as refused:
        check_streams(declared)
    (line,) = str(refused.value).splitlines()
    assert declared[-1].name in line
    for part in said:
        assert part in line


def test_the_names_of_streams_cannot_be_mistaken_for_each_other() -> None:
    by_text = stream("notes/{client_id}/{text}")
    names = [by_text(*values).name for values in [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c"), ("", "x"), ("x", "")]]
    assert names[:3] == ["notes/a/b%2Fc", "notes/a%2Fb/c", "notes/a%252Fb/c"]
    assert len(set(names)) == len(names)
    assert stream("notes/{page_id}")(7).name == "notes/7"


def test_a_stream_takes_as_many_values_as_it_has_parameters() -> None:
    for values in ((), (1, 2)):
        with pytest.raises(TypeError, match="takes 1 value"):
            stream("notes/{page_id}")(*values)


BROKEN_APPLICATION = '''
"""An application whose stream has no reader."""

from service.engine.application.application import Application
from service.engine.streams.stream import Stream
from tests.engine.application.messages import Entry
from tests.engine.application.models import EntryModel

application = Application(streams=[Stream("rooms/{room_id}", rows=EntryModel, event=Entry)])
'''
START = (
    "import sys\nfrom service.engine.application.commands import main\nsys.exit(main('unreadable.app:application'))\n"
)


@pytest.mark.parametrize("environment", ["development", "production"])
def test_it_stops_the_start_in_one_line(tmp_path: Path, environment: str) -> None:
    package = tmp_path / "unreadable"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(START)
    (package / "app.py").write_text(textwrap.dedent(BROKEN_APPLICATION).lstrip())
    settings = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nowhere?connect_timeout=2", "SECRET_KEY": SECRET_KEY}
    settings |= {"ENVIRONMENT": environment, "PYTHONPATH": f"{tmp_path}:{PROJECT}"}
    refused = Commands("unreadable").run("serve", **settings)
    assert refused.returncode not in {0, 1}
    (line,) = refused.stderr.splitlines()
    assert "rooms/{room_id}" in line
    assert "no reader" in line
    assert refused.stdout == ""
