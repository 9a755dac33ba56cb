"""`service/engine/client.py` keeps its promises, against a real service."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import httpx
import pytest

from service.engine import client
from service.engine.client import Event, Live, Refused, Subscription, Token
from tests.engine.kit.fixture_types import Connect, Number, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter


def live_on(service: Service, token: Token) -> Live:
    return client.connect(service.http, token=token)


@pytest.fixture
async def live(service: Service, user: int) -> AsyncIterator[Live]:
    async with live_on(service, token(user)) as live:
        yield live


async def events(subscription: Subscription, count: int, within: float = 15) -> list[Event]:
    async with asyncio.timeout(within):
        return [await anext(subscription) for _ in range(count)]


async def test_events_of_many_streams_come_in_order(
    service: Service, live: Live, connect: Connect, number: Number
) -> None:
    names = [f"rooms/{number()}" for _ in range(3)]
    writers = [await connect(service, f"/ws/{name}", user=1) for name in names]
    for writer in writers:
        await enter(writer, "before")
    followed = [live.subscribe(name, after=0) for name in names]
    for name, subscription in zip(names, followed, strict=True):
        (event,) = await events(subscription, 1)
        assert (event["stream"], event["seq"], event["body"]) == (name, 1, "before")
    for writer in writers:
        await enter(writer, "after")
    assert [(await events(subscription, 1))[0]["seq"] for subscription in followed] == [2, 2, 2]
    assert [subscription.position for subscription in followed] == [2, 2, 2]
    with pytest.raises(ValueError, match="already"):
        live.subscribe(names[0])


async def test_a_long_absence_is_filled_in_by_http(service: Service, live: Live, connect: Connect, room: int) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('rooms/{room}', 2500)")
    service.database.execute(
        "insert into entries (room_id, seq, author_id, body, created_at)"
        f" select {room}, n, '7', 'entry ' || n, now() from generate_series(1, 2500) n"
    )
    subscription = live.subscribe(f"rooms/{room}", after=0)
    assert [event["seq"] for event in await events(subscription, 2500)] == list(range(1, 2501))
    await enter(await connect(service, f"/ws/rooms/{room}", user=1), "now")
    assert (await events(subscription, 1))[0]["seq"] == 2501


async def test_who_is_there_and_signals_come_as_events(service: Service, live: Live, number: Number, user: int) -> None:
    name, other = f"rooms/{number()}", number()
    mine = live.subscribe(name, presence=True)
    assert (await events(mine, 1))[0] == {"type": "presence", "stream": name, "users": [user], "count": 1}
    async with live_on(service, token(other)) as theirs:
        visit = theirs.subscribe(name, after=0, presence=True)
        await events(visit, 1)
        assert (await events(mine, 1))[0]["type"] == "joined"
        assert mine.present == visit.present == {user, other}
        await live.signal(name, {"text": "x" * 2000})
        for n in range(40):
            await live.signal(name, {"n": n})
        assert await events(visit, 1) == [{"type": "signal", "stream": name, "user_id": user, "data": {"n": 0}}]
        await theirs.signal(name, {"typing": True})
        assert (await events(mine, 1))[0]["data"] == {"typing": True}, "what is refused ends nothing and delays nothing"
    assert (await events(mine, 1))[0] == {"type": "left", "stream": name, "user_id": other}
    assert (mine.present, mine.position) == ({user}, 0)


async def test_a_killed_server_loses_and_doubles_nothing(start_service: StartService, connect: Connect) -> None:
    service = start_service()
    async with live_on(service, lambda: token(7)) as live:
        followed = [live.subscribe(f"rooms/{room}", after=0) for room in (1, 2)]
        for turn in range(3):
            for room in (1, 2):
                writer = await connect(service, f"/ws/rooms/{room}", user=1)
                for body in range(5):
                    await enter(writer, str(body))
            if turn < 2:
                for worker in service.workers():
                    worker.kill()
                await eventually(lambda: answers(service), "the service is back")
        for subscription in followed:
            assert [event["seq"] for event in await events(subscription, 15)] == list(range(1, 16))


def answers(service: Service) -> bool:
    try:
        return service.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


async def test_what_may_not_be_read_is_refused_and_the_others_go_on(
    service: Service, http: httpx.AsyncClient, connect: Connect, number: Number, user: int
) -> None:
    club, room = number(), number()
    async with live_on(service, token(user, clubs=[club])) as live:
        for name, code in ((f"letters/{user + 1}", "forbidden"), ("unheard/7", "unknown_stream")):
            with pytest.raises(Refused) as refused:
                await events(live.subscribe(name), 1)
            assert refused.value.code == code
        member = live.subscribe(f"clubs/{club}", after=0)
        follower = live.subscribe(f"rooms/{room}", after=0)
        await enter(await connect(service, f"/ws/rooms/{room}", user=1), "still here")
        assert (await events(follower, 1))[0]["body"] == "still here"
        await http.delete(f"/api/clubs/{club}/members/{user}", headers=bearer(1, scope="clubs:write"))
        with pytest.raises(Refused, match="forbidden"):
            await events(member, 1)


async def test_what_is_unsubscribed_ends_and_may_be_followed_again(
    service: Service, live: Live, connect: Connect, room: int
) -> None:
    writer = await connect(service, f"/ws/rooms/{room}", user=1)
    await enter(writer, "first")
    for _ in range(3):
        subscription = live.subscribe(f"rooms/{room}", after=0)
        assert (await events(subscription, 1))[0]["body"] == "first"
        await subscription.unsubscribe()
        assert [event async for event in subscription] == []


async def test_an_expired_token_is_replaced_and_one_without_a_newer_is_the_end(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    async with live_on(service, token(user, ttl=-1)) as live:
        with pytest.raises(Refused, match="expired_token"):
            await events(live.subscribe(f"rooms/{room}"), 1)
    tokens = itertools.chain([token(user, ttl=2)], itertools.repeat(token(user)))
    asked = []

    async def newest() -> str:
        asked.append(next(tokens))
        return asked[-1]

    async with live_on(service, newest) as live:
        subscription = live.subscribe(f"rooms/{room}", after=0)
        await eventually(lambda: len(asked) == 2, "a newer token")
        await enter(await connect(service, f"/ws/rooms/{room}", user=1), "later")
        assert (await events(subscription, 1))[0]["body"] == "later"
