"""Who is there: once for each user, over all processes, and nobody for ever."""

import asyncio
import os
import signal
from typing import Any

import httpx
import pytest

from tests.engine.kit.client import Client, Message
from tests.engine.kit.fixture_types import Broker, Connect, Number, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token

STREAMS = "/ws/streams"
GONE = 10.0
"""Seconds in which who has left is told to have."""
DEAD = 15.0
"""Seconds in which the users of a process that died are."""


@pytest.fixture
def service(shared_service: StartService, broker: Broker) -> Service:
    """A process, with each of the brokers."""
    return shared_service(**broker)


@pytest.fixture
def twin(service: Service, shared_service: StartService, broker: Broker) -> Service:
    """A second process on the same database and broker."""
    return shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100", **broker)


@pytest.fixture
def calm(shared_service: StartService) -> Service:
    """A process where tests wait for what does not come: once is enough."""
    return shared_service()


@pytest.fixture
def calm_twin(calm: Service, shared_service: StartService) -> Service:
    """A second process on the same database."""
    return shared_service(database=calm.database, MAX_CONNECTIONS_PER_USER="100")


async def arrive(connect: Connect, service: Service, stream: str, user: int) -> tuple[Client, list[int]]:
    """Somebody who is there, and whom they were told to find."""
    client = await connect(service, STREAMS, user=user)
    await client.send({"type": "subscribe", "stream": stream, "presence": True})
    assert (await client.receive())["type"] == "subscribed"
    listed = await client.receive()
    assert (listed["type"], listed["stream"], listed["count"]) == ("presence", stream, len(listed["users"]))
    return client, listed["users"]


def came(stream: str, user: int) -> Message:
    return {"type": "joined", "stream": stream, "user_id": user}


def went(stream: str, user: int) -> Message:
    return {"type": "left", "stream": stream, "user_id": user}


async def listed(service: Service, stream: str) -> Any:
    async with http_client(service.http) as http:
        answer = await http.get(f"/api/streams/{stream}/presence", headers=bearer(1))
        assert answer.status_code == 200, answer.text
        return answer.json()


async def test_who_comes_and_goes_is_told_on_every_process_and_over_http(
    service: Service, twin: Service, connect: Connect, number: Number
) -> None:
    name, ada, bob = f"rooms/{number()}", number(), number()
    assert await listed(twin, name) == {"users": [], "count": 0}
    here, found = await arrive(connect, service, name, ada)
    assert found == [ada]
    there, found = await arrive(connect, twin, name, bob)
    assert sorted(found) == [ada, bob]
    assert await here.receive() == came(name, bob)
    for process in (service, twin):
        users = await listed(process, name)
        assert (sorted(users["users"]), users["count"]) == ([ada, bob], 2)
    await there.close()
    assert await here.receive(GONE) == went(name, bob)
    assert await listed(twin, name) == {"users": [ada], "count": 1}


async def test_a_user_is_there_once_and_gone_with_the_last_connection(
    calm: Service, calm_twin: Service, connect: Connect, number: Number
) -> None:
    name, ada, bob = f"rooms/{number()}", number(), number()
    watching, _ = await arrive(connect, calm, name, ada)
    bobs = [(await arrive(connect, where, name, bob))[0] for where in (calm, calm_twin, calm, calm_twin)]
    assert await watching.receive() == came(name, bob)
    await watching.lives()
    for client in bobs[:3]:
        await client.close()
    with pytest.raises(TimeoutError):
        await watching.receive(8)
    assert sorted((await listed(calm, name))["users"]) == [ada, bob]
    await bobs[3].send({"type": "unsubscribe", "stream": name})
    assert await watching.receive(GONE) == went(name, bob)


async def test_who_comes_back_soon_was_never_gone(
    calm: Service, calm_twin: Service, connect: Connect, number: Number
) -> None:
    name, ada, bob = f"rooms/{number()}", number(), number()
    watching, _ = await arrive(connect, calm, name, ada)
    client, _ = await arrive(connect, calm, name, bob)
    assert await watching.receive() == came(name, bob)
    for where in (calm, calm_twin):
        await client.close()
        client, found = await arrive(connect, where, name, bob)
        assert sorted(found) == [ada, bob]
    with pytest.raises(TimeoutError):
        await watching.receive(8)


async def test_who_does_not_ask_is_neither_shown_nor_told(calm: Service, connect: Connect, number: Number) -> None:
    name, ada, bob = f"rooms/{number()}", number(), number()
    watching, _ = await arrive(connect, calm, name, ada)
    quiet = await connect(calm, STREAMS, user=bob)
    assert (await quiet.ask({"type": "subscribe", "stream": name}))["type"] == "subscribed"
    await connect(calm, f"/ws/{name}", user=bob)
    await arrive(connect, calm, name, number())
    assert (await watching.receive())["type"] == "joined"
    assert (await listed(calm, name))["count"] == 2
    await quiet.lives()


async def test_the_users_of_a_process_that_died_are_gone_soon_and_those_who_moved_are_not(
    service: Service, start_service: StartService, broker: Broker, connect: Connect, number: Number
) -> None:
    name, ada, bob, cleo = f"rooms/{number()}", number(), number(), number()
    doomed = start_service(database=service.database, **broker)
    watching, _ = await arrive(connect, service, name, ada)
    for user in (bob, cleo):
        await arrive(connect, doomed, name, user)
        assert await watching.receive() == came(name, user)
    for pid in (doomed.process.pid, *(worker.pid for worker in doomed.workers())):
        os.kill(pid, signal.SIGKILL)
    await arrive(connect, service, name, cleo)
    assert await watching.receive(DEAD) == went(name, bob)
    assert sorted((await listed(service, name))["users"]) == [ada, cleo]
    await watching.lives()


async def test_a_stream_without_presence_does_not_show_it(
    service: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    client = await connect(service, STREAMS, user=user)
    refusal = await client.ask({"type": "subscribe", "stream": f"letters/{user}", "presence": True})
    assert (refusal["type"], refusal["code"], refusal["stream"]) == ("error", "no_presence", f"letters/{user}")
    answer = await http.get(f"/api/streams/letters/{user}/presence", headers=bearer(user))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_stream")
    answer = await http.get("/api/streams/rooms/7/presence")
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_token")


async def test_it_heals_when_the_table_is_emptied_as_after_a_crash_of_the_database(
    calm: Service, calm_twin: Service, connect: Connect, number: Number
) -> None:
    name, ada, bob = f"rooms/{number()}", number(), number()
    watching, _ = await arrive(connect, calm, name, ada)
    await arrive(connect, calm_twin, name, bob)
    assert await watching.receive() == came(name, bob)
    calm.database.execute("truncate presence, presence_versions, presence_processes")
    shown = {ada, bob}

    async def agrees() -> bool:
        users = (await listed(calm, name))["users"]
        return sorted(users) == [ada, bob] == sorted(shown)

    async with asyncio.timeout(DEAD):
        while not await agrees():
            try:
                message = await watching.receive(0.5)
            except TimeoutError:
                continue
            assert message["type"] in {"joined", "left"}
            (shown.add if message["type"] == "joined" else shown.discard)(message["user_id"])


async def test_many_who_come_at_once_see_each_other(
    service: Service, twin: Service, connect: Connect, number: Number
) -> None:
    name, users = f"rooms/{number()}", {number() for _ in range(30)}
    clients = [await connect((service, twin)[user % 2], STREAMS, token=token(user)) for user in users]
    for client in clients:
        await client.send({"type": "subscribe", "stream": name, "presence": True})

    async def sees_all(client: Client) -> None:
        seen: set[int] = set()
        while seen != users:
            message = await client.receive()
            if message["type"] == "presence":
                assert not seen, "the list comes first"
                seen = set(message["users"])
                assert message["count"] == len(seen)
            elif message["type"] == "joined":
                assert message["user_id"] not in seen, "told twice"
                seen.add(message["user_id"])
            else:
                assert message["type"] == "subscribed"
        await client.lives()

    await asyncio.gather(*map(sees_all, clients))
    assert (await listed(service, name))["count"] == 30
