"""Commit is publish: an event leaves with the transaction that stored its row, or never."""

import asyncio
import json
import random

import psycopg
from pydantic import SecretStr

from service.database import Database as Pool
from service.models import NotificationModel
from service.observability.metrics import Metrics
from service.realtime.broker.postgres import PostgresBroker
from service.realtime.streams import next_seq
from service.settings import Settings
from tests.postgres import Database

TOPIC, TRANSACTIONS, WRITERS = "notifications:1", 1000, 10


class AccidentError(Exception):
    """Something goes wrong between two statements."""


async def write(pool: Pool, broker: PostgresBroker, chance: random.Random) -> None:
    """One transaction that may break at any point."""
    async with pool.session() as session:
        steps = chance.randrange(8)
        seq = await next_seq(session, TOPIC)
        if steps == 0:
            raise AccidentError
        session.add(NotificationModel(user_id="1", seq=seq, data={}))
        await session.flush()
        if steps == 1:
            raise AccidentError
        await broker.notify(session, TOPIC, json.dumps({"seq": seq}))
        if steps == 2:
            raise AccidentError
        if steps == 3:
            await session.rollback()


async def test_events_equal_committed_rows_whatever_breaks_in_between(database: Database) -> None:
    settings = Settings(database_url=SecretStr(database.url), database_pool_size=WRITERS)
    pool, broker = Pool(settings, Metrics()), PostgresBroker(database.url, Metrics())
    chance = random.Random(7)
    heard: list[int] = []

    async def writer() -> None:
        for _ in range(TRANSACTIONS // WRITERS):
            try:
                await write(pool, broker, chance)
            except AccidentError:
                continue

    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as listener:
        await listener.execute(f'LISTEN "{TOPIC}"')
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(writer())
        await listener.execute('NOTIFY "' + TOPIC + "\", 'the end'")
        async for event in listener.notifies(timeout=10):
            if event.payload == "the end":
                break
            heard.append(json.loads(event.payload)["seq"])
    await pool.close()
    rows = [seq for (seq,) in database.rows("select seq from notifications order by seq")]
    assert 0 < len(rows) < TRANSACTIONS
    assert heard == rows == list(range(1, len(rows) + 1))
