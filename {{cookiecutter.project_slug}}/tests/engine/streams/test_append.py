"""An event that is appended with other writes: all of it, or nothing, with each broker and of any size."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.engine.kit.client import Client
from tests.engine.kit.fixture_types import Broker, Connect, Number, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token

TREASURER = bearer(1, scope="clubs:write")


@pytest.fixture
def service(shared_service: StartService, broker: Broker) -> Service:
    """A process, with each of the brokers."""
    return shared_service(**broker)


@pytest.fixture
def twin(service: Service, shared_service: StartService, broker: Broker) -> Service:
    """A second process on the same database and broker."""
    return shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100", **broker)


@pytest.fixture
def club(number: Number) -> int:
    """A club that nobody has founded."""
    return number()


async def member(connect: Connect, service: Service, club: int, **options: Any) -> Client:
    return await connect(service, f"/ws/clubs/{club}", token=token(7, clubs=[club]), **options)


async def buy(http: httpx.AsyncClient, club: int, what: str, **fields: Any) -> httpx.Response:
    return await http.post(f"/api/clubs/{club}/purchases", json={"what": what} | fields, headers=TREASURER)


def stored(service: Service, club: int) -> tuple[list[str], list[int]]:
    """What was bought, and the numbers of the announcements."""
    bought = service.database.rows("select what from purchases where club_id = %s order by id", club)
    announced = service.database.rows("select seq from announcements where club_id = %s order by seq", club)
    return [what for (what,) in bought], [seq for (seq,) in announced]


async def test_what_is_committed_together_is_stored_and_published(
    service: Service, twin: Service, connect: Connect, http: httpx.AsyncClient, club: int
) -> None:
    listeners = [await member(connect, where, club) for where in (service, twin)]
    answer = await buy(http, club, "a kettle", price="12.50")
    assert (answer.status_code, answer.json()["seq"]) == (201, 1)
    assert stored(service, club) == (["a kettle"], [1])
    for listener in listeners:
        expected = {"type": "announcement", "seq": 1, "text": "We have bought a kettle.", "price": "12.50"}
        assert await listener.receive() == expected


async def test_what_is_rolled_back_together_was_never_there(
    service: Service, twin: Service, connect: Connect, http: httpx.AsyncClient, club: int
) -> None:
    listeners = [await member(connect, where, club) for where in (service, twin)]
    for what, fails in (("a yacht", True), ("a kettle", False), ("a castle", True)):
        answer = await buy(http, club, what, fails=fails)
        assert (answer.status_code, answer.json().get("code")) == ((409, "too_expensive") if fails else (201, None))
    assert stored(service, club) == (["a kettle"], [1])
    for listener in listeners:
        assert (await listener.receive())["text"] == "We have bought a kettle."
        await listener.lives()


@pytest.mark.parametrize("what", ["x" * 20_000, "😀" * 3_000, '"\\' * 6_000], ids=["long", "wide", "escaped"])
async def test_an_event_too_large_for_the_database_channel_arrives_whole(
    service: Service, twin: Service, connect: Connect, http: httpx.AsyncClient, club: int, what: str
) -> None:
    listeners = [await member(connect, where, club) for where in (service, twin)]
    for bought in (what, "a kettle"):
        assert (await buy(http, club, bought)).status_code == 201
    for listener in listeners:
        texts = [message["text"] for message in await listener.receive_many(2)]
        assert texts == [f"We have bought {what}.", "We have bought a kettle."]


async def test_the_same_again_is_announced_once_and_its_other_writes_are_kept(
    service: Service, connect: Connect, http: httpx.AsyncClient, club: int
) -> None:
    listener = await member(connect, service, club)
    answers = await asyncio.gather(*(buy(http, club, "a kettle", client_id="a") for _ in range(8)))
    assert {answer.json()["seq"] for answer in answers} == {1}
    assert stored(service, club) == (["a kettle"] * 8, [1])
    assert (await listener.receive())["seq"] == 1
    await listener.lives()


async def test_what_json_would_spoil_is_told_live_as_history_tells_it(
    service: Service, twin: Service, connect: Connect, http: httpx.AsyncClient, club: int
) -> None:
    """The price is a decimal number with more digits than a float has."""
    live = [await member(connect, where, club) for where in (service, twin)]
    price = "12345678901234567890.0000000001"
    assert (await buy(http, club, "a bank", price=price)).status_code == 201
    late = await member(connect, service, club, after=0)
    told = [await client.receive() for client in (*live, late)]
    assert [message["price"] for message in told] == [price] * 3
    page = await http.get(f"/api/clubs/{club}/announcements", headers=bearer(7, clubs=[club]))
    assert [one["price"] for one in page.json()["announcements"]] == [price]


async def test_many_transactions_at_once_leave_no_gap(
    service: Service, twin: Service, connect: Connect, http: httpx.AsyncClient, club: int
) -> None:
    listeners = [await member(connect, where, club) for where in (service, twin)]
    async with http_client(twin.http) as there:
        buying = [
            buy(where, club, str(number), fails=number % 3 == 0) for number in range(30) for where in (http, there)
        ]
        answers = await asyncio.gather(*buying)
    count = sum(answer.status_code == 201 for answer in answers)
    assert stored(service, club)[1] == list(range(1, count + 1))
    for listener in listeners:
        assert [message["seq"] for message in await listener.receive_many(count)] == list(range(1, count + 1))
        await listener.lives()
