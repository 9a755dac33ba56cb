"""Endpoints with parameters of every shape there is, and the ways to call them."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Cookie, Depends, Header, Path, Query, WebSocketException
from fastapi.requests import HTTPConnection
from pydantic import AfterValidator, BaseModel, Field, Json
from starlette.exceptions import HTTPException

from service.engine.endpoints.parameters import After, Database, ResumeAfter, Runtime, Streams
from service.engine.endpoints.router import AnonymousConnection
from service.engine.foundation.problems import Problem

Nobody = AnonymousConnection[str | bytes, str | bytes]


class Colour(Enum):
    """Of something."""

    RED = "red"
    BLUE = "blue"


class Filter(BaseModel):
    """Several parameters in one."""

    first: int = 0
    second: str | None = None


def said(**arguments: Any) -> Problem:
    """What an endpoint was called with, as an answer that both ways give."""
    shown = {name: f"{type(value).__name__} {value!r}" for name, value in arguments.items()}
    return Problem("called", json.dumps(shown), status=418)


called: list[str] = []


async def first(connection: HTTPConnection, q: str = "none") -> str:
    called.append("first")
    return f"{connection.url.path} {q}"


async def second(one: Annotated[str, Depends(first)], number: Annotated[int, Query(ge=0)] = 7) -> list[Any]:
    called.append("second")
    return [one, number]


def in_a_thread(number: Annotated[int, Query()] = 1) -> str:
    called.append("in a thread")
    return f"thread {number}"


async def refuses(q: str = "") -> str:
    if q == "problem":
        raise Problem("not_today", "Not today.", status=409, headers={"X-Why": "because"})
    if q == "http":
        raise HTTPException(402)
    if q == "socket":
        raise WebSocketException(1008)
    if q == "bug":
        raise ValueError("a bug")
    return q


async def lent() -> AsyncIterator[str]:
    yield "lent"


def lent_in_a_thread() -> Iterator[str]:
    yield "lent"


class Made:
    """A class as a dependency."""

    def __init__(self, q: str = "") -> None:
        self.q = q

    def __repr__(self) -> str:
        return f"Made({self.q})"


def even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


async def plain(connection: Nobody) -> None:
    raise said()


async def of_path(connection: Nobody, a: str, b: Annotated[int, Path(ge=1, le=9)]) -> None:
    raise said(a=a, b=b)


async def converted(connection: Nobody, a: int, rest: str) -> None:
    raise said(a=a, rest=rest)


async def text(connection: Nobody, q: str, r: str | None = None, s: Annotated[str, Query(max_length=3)] = "s") -> None:
    raise said(q=q, r=r, s=s)


async def numbers(connection: Nobody, i: int = 1, f: float = 1.5, b: bool = False, d: Decimal = Decimal(1)) -> None:
    raise said(i=i, f=f, b=b, d=d)


async def kinds(
    connection: Nobody, u: UUID | None = None, d: date | None = None, c: Colour = Colour.RED, w: Literal["a", 1] = "a"
) -> None:
    raise said(u=u, d=d, c=c, w=w)


async def positions(connection: Nobody, after: After = 0, resume: ResumeAfter = None) -> None:
    raise said(after=after, resume=resume)


async def renamed(
    connection: Nobody, q: Annotated[int, Query(alias="the-q")], v: Annotated[int, Query(validation_alias="vv")] = 1
) -> None:
    raise said(q=q, v=v)


async def checked(connection: Nobody, n: Annotated[int, AfterValidator(even), Query(description="even")] = 3) -> None:
    raise said(n=n)


async def checked_default(
    connection: Nobody, n: Annotated[int, Query(validate_default=True), AfterValidator(even)] = 3
) -> None:
    raise said(n=n)


async def factory(connection: Nobody, n: Annotated[str, Query(default_factory=lambda: "made")]) -> None:
    raise said(n=n)


async def lists(
    connection: Nobody,
    q: Annotated[list[int], Query()] = [1],  # noqa: B006
    s: Annotated[set[str] | None, Query()] = None,
) -> None:
    raise said(q=q, s=s)


async def model(connection: Nobody, filter: Annotated[Filter, Query()]) -> None:  # noqa: A002
    raise said(filter=filter)


async def in_json(connection: Nobody, q: Annotated[Json[int], Query()]) -> None:
    raise said(q=q)


async def headers(
    connection: Nobody, user_agent: Annotated[str | None, Header()] = None, c: Annotated[str | None, Cookie()] = None
) -> None:
    raise said(user_agent=user_agent, c=c)


async def dependent(
    connection: Nobody,
    two: Annotated[list[Any], Depends(second)],
    one: Annotated[str, Depends(first)],
    thread: Annotated[str, Depends(in_a_thread)],
    number: int = 5,
) -> None:
    raise said(two=two, one=one, thread=thread, number=number, same=two[0] is one)


async def scoped(connection: Nobody, one: Annotated[str, Depends(first, scope="function")]) -> None:
    raise said(one=one)


async def uncached(
    connection: Nobody, one: Annotated[str, Depends(first)], again: Annotated[str, Depends(first, use_cache=False)]
) -> None:
    raise said(one=one, again=again, same=one is again)


async def refused(connection: Nobody, q: Annotated[str, Depends(refuses)], n: int = 0) -> None:
    raise said(q=q, n=n)


async def borrowing(
    connection: Nobody, a: Annotated[str, Depends(lent)], b: Annotated[str, Depends(lent_in_a_thread)]
) -> None:
    raise said(a=a, b=b)


async def made(connection: Nobody, a: Annotated[Made, Depends()]) -> None:
    raise said(a=a)


async def of_the_engine(connection: Nobody, runtime: Runtime, streams: Streams, database: Database) -> None:
    raise said(runtime=type(runtime), streams=type(streams), database=type(database))


async def a_bug(connection: Nobody) -> None:
    raise KeyError("of the endpoint")


async def of_pydantic(connection: Nobody, n: Annotated[int, Field(gt=2), Query()] = 4) -> None:
    raise said(n=n)


async def guard(n: Annotated[int, Query()] = 0) -> None:
    if n:
        raise Problem("guarded", f"Not with {n}.", status=403)


async def of_any(connection: Nobody, q: str) -> None:
    raise said(q=q)


Q = ["", "?q", "?q=", "?q=1", "?q=a&q=b", "?q=%C3%A9", "?q=%ff", "?q=1&q=", "?Q=1", "?q=a%00b", "?q=%0A"]
NUMBERS = ["1", "-1", "1.0", "x", "", "%201", "1%0A", "9" * 400, "%D9%A7"]


def with_query(path: str, *queries: str) -> list[str]:
    return [path, *(f"{path}?{query}" for query in queries)]


SHAPES: dict[str, tuple[Callable[..., Any], bool, list[str]]] = {
    "/plain": (plain, True, ["/plain", "/plain/", "/plain%0A", "/plain?x=1", "//plain", "/Plain"]),
    "/path/{a}/{b}": (
        of_path,
        True,
        [f"/path/{end}" for end in ("x/1", "x/0", "x/y", "/1", "%2F/1", "x/1%0A", "%C3%A9/9", "%ff/2", "x%0A/1")],
    ),
    "/converted/{a:int}/{rest:path}": (
        converted,
        True,
        [f"/converted/{end}" for end in ("1/x/y", "x/y", "1/", "1/a%0Ab", "1/a%0A")],
    ),
    "/text": (text, True, [f"/text{q}" for q in (*Q, "?q=1&r=2&s=3", "?q=1&s=1234", "?q=1&r=")]),
    "/numbers": (
        numbers,
        True,
        with_query("/numbers", "i=2&f=2.5&b=true&d=1.10", "i=x", "b=1", "b=maybe", "f=nan", "f=inf", "d=1e5", "i=1_0")
        + with_query("/numbers", "i=&f=", "i=1&i=x", "i=x&f=x", "i=%201"),
    ),
    "/kinds": (
        kinds,
        True,
        with_query(
            "/kinds", "c=blue", "c=green", "w=a", "w=1", "w=2", "d=2026-01-01", "d=x", f"u={UUID(int=7)}", "u=7"
        ),
    ),
    "/positions": (
        positions,
        True,
        with_query(
            "/positions", "after=1", "after=-1", "resume=7", "resume=x", f"resume={2**63}", "resume=", "after=1.0"
        ),
    ),
    "/renamed": (renamed, False, with_query("/renamed", "the-q=1", "q=1", "the-q=1&vv=2", "the-q=1&v=2")),
    "/checked": (checked, True, with_query("/checked", "n=2", "n=3")),
    "/checked-default": (checked_default, False, with_query("/checked-default", "n=2", "n=3")),
    "/pydantic": (of_pydantic, True, with_query("/pydantic", "n=2", "n=3")),
    "/factory": (factory, False, with_query("/factory", "n=2")),
    "/lists": (lists, False, with_query("/lists", "q=1&q=2", "q=x", "s=a&s=a")),
    "/model": (model, False, with_query("/model", "first=1&second=2", "first=x")),
    "/json": (in_json, True, with_query("/json", "q=1", "q=x")),
    "/headers": (headers, False, ["/headers"]),
    "/dependent": (
        dependent,
        True,
        [f"/dependent{q}" for q in Q] + with_query("/dependent", *(f"number={number}" for number in NUMBERS)),
    ),
    "/scoped": (scoped, False, with_query("/scoped", "q=1")),
    "/uncached": (uncached, False, with_query("/uncached", "q=1")),
    "/refused": (
        refused,
        True,
        with_query("/refused", "q=problem", "q=http", "q=bug", "q=socket", "q=problem&n=x", "q=bug&n=x"),
    ),
    "/borrowing": (borrowing, False, ["/borrowing"]),
    "/made": (made, False, with_query("/made", "q=1")),
    "/engine": (of_the_engine, True, ["/engine"]),
    "/a-bug": (a_bug, True, ["/a-bug"]),
}
"""By its path: an endpoint, whether there can be a plan for it, and where clients come."""
