"""Valkey goes and comes back: sockets stay, entries are stored and answered, everything is delivered in the end."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest

from service.engine.delivery.valkey import ValkeyBroker
from service.engine.foundation.metrics import Metrics
from tests.engine import delivery
from tests.engine.kit.client import Client, Message
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.valkey import Valkey
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

PROMISED = 3 * delivery.PROMISED
"""Beside other tests."""
OPERATOR = bearer(1_000_000, scope="letters:write connections:write")


@pytest.fixture(scope="module")
def valkey_that_fails() -> Iterator[Valkey]:
    valkey = Valkey()
    yield valkey
    valkey.stop()


@pytest.fixture(scope="module")
def services(postgres: Address, valkey_that_fails: Valkey) -> Iterator[list[Service]]:
    """Two processes whose Valkey comes and goes; when they start, it is away."""
    database = postgres.create_database()
    started = [Service(database, {"VALKEY_URL": valkey_that_fails.url}, ready=False) for _ in range(2)]
    yield started
    for service in started:
        service.terminate()
    for service in started:
        service.stop()


@contextmanager
def running(valkey: Valkey) -> Iterator[None]:
    valkey.start()
    try:
        yield
    finally:
        valkey.stop()


async def readiness(service: Service) -> httpx.Response:
    return await asyncio.to_thread(service.get, "/readyz")


async def all_ready(services: list[Service], within: float = PROMISED) -> None:
    async def ready() -> bool:
        return all([(await readiness(service)).status_code == 200 for service in services])

    await eventually(ready, "both are ready", within=within)


class Writer:
    """Writes without pause, one entry after the other, each confirmed before the next."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._stop = asyncio.Event()
        self.answers: list[Message] = []
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._stop.is_set():
            client_id = f"{self._name}-{len(self.answers)}"
            await self._client.send({"type": "new_entry", "body": "x", "client_id": client_id})
            answer: Message = {"type": "entry"}
            while answer["type"] == "entry":
                answer = await self._client.receive()
            self.answers.append(answer)
            await asyncio.sleep(0.002)

    async def write(self, count: int) -> None:
        """Return when `count` more are answered."""
        enough = len(self.answers) + count
        await eventually(lambda: self.task.done() or len(self.answers) >= enough, f"{self._name}: {count} more answers")
        if self.task.done():
            self.task.result()

    async def stop(self) -> None:
        self._stop.set()
        await self.task


async def test_while_valkey_is_away_everything_is_stored_and_after_its_return_delivered(
    services: list[Service], valkey_that_fails: Valkey, connect: Connect, room: int, user: int
) -> None:
    path = f"/ws/rooms/{room}"
    with running(valkey_that_fails):
        await all_ready(services)
        listeners = [await connect(service, path, user=user) for service in services]
        readers = [await connect(service, "/ws/letters", user=user) for service in services]
        writers = [Writer(await connect(service, path, user=user), f"writer {service.port}") for service in services]
        await asyncio.gather(*(writer.write(20) for writer in writers))
        for _ in range(2):
            valkey_that_fails.stop()
            await asyncio.gather(*(writer.write(50) for writer in writers))
            async with http_client(services[0].http) as http:
                body = {"user_id": user, "data": {"n": 1}}
                assert (await http.post("/api/letters", json=body, headers=OPERATOR)).status_code == 201
                assert (await http.get("/healthz")).status_code == 200
                unready = await http.get("/readyz")
                assert (unready.status_code, set(unready.json()["failed"])) == (503, {"broker"})
            valkey_that_fails.start()
            await asyncio.gather(*(writer.write(50) for writer in writers))
        await asyncio.gather(*(writer.stop() for writer in writers))
        answers = [answer for writer in writers for answer in writer.answers]
        assert {answer["type"] for answer in answers} == {"entry_created"}
        last = max(answer["seq"] for answer in answers)
        assert sorted(answer["seq"] for answer in answers) == list(range(1, last + 1))
        assert services[0].database.value("select count(*) from entries where room_id = %s", room) == last
        async with asyncio.timeout(PROMISED):
            for listener in listeners:
                assert [entry["seq"] for entry in await listener.receive_many(last)] == list(range(1, last + 1))
            for reader in readers:
                assert [letter["seq"] for letter in await reader.receive_many(2)] == [1, 2]
        await all_ready(services)
        for client in (*listeners, *readers):
            await client.lives()


async def test_what_is_lost_at_the_very_end_is_delivered_too(
    services: list[Service], valkey_that_fails: Valkey, connect: Connect, room: int, user: int
) -> None:
    """Nothing is written afterwards that would show the gap."""
    path = f"/ws/rooms/{room}"
    with running(valkey_that_fails):
        await all_ready(services)
        here, there = [await connect(service, path, user=user) for service in services]
        valkey_that_fails.stop()
        assert (await enter(here, "unheard"))["seq"] == 1
    with running(valkey_that_fails):
        assert (await there.receive(PROMISED))["body"] == "unheard"
        await there.lives()
        await here.lives()


async def test_a_client_that_comes_and_goes_while_valkey_is_away_harms_no_other(
    services: list[Service], valkey_that_fails: Valkey, connect: Connect, room: int, user: int
) -> None:
    """A process that waited for the topics it left behind would never open another."""
    path = f"/ws/rooms/{room}"
    gone = await asyncio.gather(*(connect(service, "/ws/letters", user=user) for service in services))
    await asyncio.gather(*(client.close() for client in gone))
    with running(valkey_that_fails):
        await all_ready(services)
        here, there = await asyncio.gather(*(connect(service, path, user=user) for service in services))
        for sender, receiver in ((here, there), (there, here)):
            await enter(sender, "across")
            assert (await receiver.receive(PROMISED))["body"] == "across"


async def test_clients_that_come_while_valkey_is_away_are_let_in_and_served(
    services: list[Service], connect: Connect, room: int, user: int
) -> None:
    """At once, and what the other process stored comes too, if later than usual."""
    path = f"/ws/rooms/{room}"
    async with asyncio.timeout(PROMISED):
        here, there = await asyncio.gather(*(connect(service, path, user=user) for service in services))
    assert (await enter(here, "one"))["seq"] == 1
    late = await connect(services[1], path, user=user, after=0)
    for client in (there, late):
        assert (await client.receive(PROMISED))["body"] == "one"
    assert await late.receive() == {"type": "caught_up", "seq": 1}
    assert (await enter(there, "two"))["seq"] == 2
    for client in (here, late):
        assert (await client.receive(PROMISED))["body"] == "two"


async def test_a_user_can_be_thrown_out_while_valkey_is_away(
    services: list[Service], valkey_that_fails: Valkey, connect: Connect, user: int
) -> None:
    """More slowly: the other process looks into the table by itself."""
    secret = token(user, iat=1)
    clients = await asyncio.gather(*(connect(service, "/ws/letters", token=secret) for service in services))
    async with http_client(services[0].http) as http:
        assert (await http.post(f"/api/users/{user}/disconnect", headers=OPERATOR)).status_code == 204
    for closed in await asyncio.gather(*(client.closed(PROMISED) for client in clients)):
        assert closed == (1008, "revoked")


@asynccontextmanager
async def broker_of(valkey: Valkey, heard: list[str] | None = None) -> AsyncIterator[ValkeyBroker]:
    """A broker at work, in this process; the topics of the events that it receives are added to `heard`."""

    async def hear(topic: str, _payload: str) -> None:
        if heard is not None:
            heard.append(topic)

    broker = ValkeyBroker(valkey.url, Metrics())
    working = asyncio.create_task(broker.run(hear, lambda: None))
    try:
        async with asyncio.timeout(PROMISED):
            yield broker
    finally:
        while not working.done():  # before Python 3.12 `wait_for` may lose a cancellation (cpython issue 86296)
            working.cancel()
            await asyncio.sleep(0)
        await broker.close()


async def test_nobody_waits_for_a_topic_that_was_given_up_before_valkey_came(valkey_that_fails: Valkey) -> None:
    """Topics are opened one batch after the other: one that never ends would be the last of its process."""
    async with broker_of(valkey_that_fails) as broker:
        waiting = asyncio.create_task(broker.listen(["given up"]))
        await asyncio.sleep(0)
        broker.forget("given up")
        with running(valkey_that_fails):
            await broker.listen(["wanted"])
            await waiting


async def test_topics_come_and_go_by_the_hundred_while_valkey_does(valkey_that_fails: Valkey) -> None:
    """Whatever was given up before it was confirmed, the next topic is opened."""
    async with broker_of(valkey_that_fails) as broker:
        for _ in range(3):
            with running(valkey_that_fails):
                await eventually(lambda: broker.connected, "connected")
                waiting = []
                for number in range(100):
                    waiting.append(asyncio.create_task(broker.listen([f"topic {number}"])))
                    await asyncio.sleep(0)
                    broker.forget(f"topic {number}")
                await broker.listen(["wanted"])
                await asyncio.gather(*waiting)
                broker.forget("wanted")
            await eventually(lambda: not broker.connected, "disconnected")


async def test_a_topic_that_was_given_up_before_it_was_confirmed_can_be_wanted_again(valkey_that_fails: Valkey) -> None:
    heard: list[str] = []
    async with broker_of(valkey_that_fails, heard) as broker:
        with running(valkey_that_fails):
            await eventually(lambda: broker.connected, "connected")
            waiting = [asyncio.create_task(broker.listen([topic])) for topic in ("first", "second")]
            await asyncio.sleep(0)
            broker.forget("second")
            await asyncio.gather(*waiting)
            await broker.listen(["third"])
            await broker.listen(["second"])
            broker.publish("second", "{}")
            await eventually(lambda: heard == ["second"], "its event is received")
