"""Commit is publish: an event leaves with the transaction that stored its row, or never."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from service.engine.delivery.postgres import PostgresBroker
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.settings import Settings
from service.engine.storage.database import Database as Pool
from service.engine.streams.streams import DeclaredStreams, Streams
from tests.engine.application.clubs import CLUBS
from tests.engine.application.letters import LETTERS
from tests.engine.application.models import AnnouncementModel, EntryModel, LetterModel, PurchaseModel
from tests.engine.application.rooms import ROOMS
from tests.engine.kit.postgres import Database

TRANSACTIONS, WRITERS = 1000, 10
KEY = LETTERS(1)


class AccidentError(Exception):
    """Something goes wrong between two statements."""


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[tuple[Pool, Streams]]:
    """The streams of a process, without the process."""
    settings = Settings(database_url=SecretStr(database.url), database_pool_size=WRITERS)
    metrics = Metrics()
    pool = Pool(settings, metrics)
    try:
        yield pool, Streams(DeclaredStreams([LETTERS, CLUBS], pool, PostgresBroker(database.url, metrics), metrics))
    finally:
        await pool.close()


async def write(pool: Pool, streams: Streams, chance: random.Random) -> None:
    """One transaction that may break at any point."""
    async with pool.session() as session:
        steps = chance.randrange(8)
        if steps == 0:
            raise AccidentError
        await streams.append(KEY, LetterModel(data={}), session=session)
        if steps == 1:
            raise AccidentError
        session.add(PurchaseModel(club_id=1, what="stamps"))
        if steps == 2:
            raise AccidentError
        await session.flush()
        if steps == 3:
            raise AccidentError
        if steps == 4:
            await session.rollback()


async def test_events_equal_committed_rows_whatever_breaks_in_between(database: Database) -> None:
    chance = random.Random(7)
    heard: list[int] = []

    async def writer(pool: Pool, streams: Streams) -> None:
        for _ in range(TRANSACTIONS // WRITERS):
            try:
                await write(pool, streams, chance)
            except AccidentError:
                continue

    channel = sql.Identifier(database.value("select %s || '@' || 'streams'::regclass::oid", KEY.name))
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as listener:
        await listener.execute(sql.SQL("LISTEN {}").format(channel))
        async with opened(database) as (pool, streams), asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(writer(pool, streams))
        await listener.execute(sql.SQL("NOTIFY {}, 'the end'").format(channel))
        async for event in listener.notifies(timeout=10):
            if event.payload == "the end":
                break
            heard.append(json.loads(event.payload)["seq"])
    rows = [seq for (seq,) in database.rows("select seq from letters order by seq")]
    assert 0 < len(rows) < TRANSACTIONS
    assert heard == rows == list(range(1, len(rows) + 1))
    assert database.value("select count(*) from purchases") == len(rows)


async def test_what_is_appended_comes_back_with_what_the_database_made_of_it(database: Database) -> None:
    async with opened(database) as (pool, streams):
        alone = await streams.append(KEY, LetterModel(data={"n": 1}))
        async with pool.session() as session:
            within = await streams.append(KEY, LetterModel(data={"n": 2}), session=session)
            assert within not in session, "it is stored already: a flush must not store it again"
    for row, number in ((alone, 1), (within, 2)):
        assert (row.seq, row.data, row.user_id, row.read_at, row.origin) == (number, {"n": number}, 1, None, None)
        assert database.rows("select id, created_at from letters where seq = %s", number) == [(row.id, row.created_at)]


async def test_what_is_once_the_same_is_not_stored_again_with_other_writes_either(database: Database) -> None:
    key = CLUBS(1)
    async with opened(database) as (pool, streams):
        first = await streams.append(key, AnnouncementModel(text="first", client_id="a"))
        async with pool.session() as session:
            session.add(PurchaseModel(club_id=1, what="a kettle"))
            again = await streams.append(key, AnnouncementModel(text="again", client_id="a"), session=session)
        assert (again.id, again.seq, again.text) == (first.id, first.seq, "first")
    assert database.rows("select text from announcements") == [("first",)]
    assert database.rows("select what from purchases") == [("a kettle",)], "the other writes are kept"


async def test_of_many_transactions_at_once_that_append_the_same_one_does(database: Database) -> None:
    key = CLUBS(1)

    async def buy(pool: Pool, streams: Streams, number: int) -> AnnouncementModel:
        async with pool.session() as session:
            session.add(PurchaseModel(club_id=1, what=f"kettle {number}"))
            return await streams.append(key, AnnouncementModel(text=str(number), client_id="a"), session=session)

    async with opened(database) as (pool, streams):
        found = await asyncio.gather(*(buy(pool, streams, number) for number in range(WRITERS)))
    assert len({(row.id, row.seq, row.text) for row in found}) == 1
    assert database.rows("select seq from announcements") == [(1,)]
    assert database.value("select count(*) from purchases") == WRITERS


async def test_a_row_of_another_stream_is_refused(database: Database) -> None:
    async with opened(database) as (_, streams):
        with pytest.raises(ValueError, match="user_id"):
            await streams.append(LETTERS(1), LetterModel(user_id=2, data={}))
        with pytest.raises(LookupError, match="rooms"):
            await streams.append(ROOMS(1), EntryModel(author_id=1, body="nobody declared it here"))
    assert database.value("select count(*) from letters") == 0
