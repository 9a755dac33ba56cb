"""Events reach every subscriber, whichever process and machine it is connected to."""

import asyncio

import httpx
import pytest

from tests.conftest import Broker, Connect, StartService
from tests.running import Service
from tests.tokens import bearer


@pytest.fixture
def service(shared_service: StartService, broker: Broker) -> Service:
    """A process, with each of the brokers."""
    return shared_service(**broker)


@pytest.fixture
def twin(service: Service, shared_service: StartService, broker: Broker) -> Service:
    """A second process on the same database and broker."""
    return shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100", **broker)


async def test_a_comment_reaches_subscribers_of_another_process(
    service: Service, twin: Service, connect: Connect, post: int, user: int
) -> None:
    sender = await connect(service, f"/ws/live-comments/{post}", user=user)
    here = await connect(service, f"/ws/live-comments/{post}", user=user)
    there = await connect(twin, f"/ws/live-comments/{post}", user=user)
    answer = await sender.comment("across")
    comment = await there.receive()
    assert comment["comment_id"] == answer["comment_id"]
    assert await here.receive() == comment


async def test_a_notification_reaches_its_user_on_every_process(
    service: Service, twin: Service, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    clients = [await connect(where, "/ws/notifications", user=user) for where in (service, twin)]
    body = {"user_id": user, "data": {"n": 1}}
    answer = await http.post("/api/notifications", json=body, headers=bearer(1, scope="notifications:write"))
    assert answer.status_code == 201
    first, second = [await client.receive() for client in clients]
    assert first == second


async def test_numbers_have_no_gaps_when_two_processes_write_at_once(
    service: Service, twin: Service, connect: Connect, post: int, user: int
) -> None:
    listeners = [await connect(where, f"/ws/live-comments/{post}", user=user) for where in (service, twin)]
    writers = [await connect(where, f"/ws/live-comments/{post}", user=user) for where in (service, twin)]
    for _ in range(50):
        for writer in writers:
            await writer.send({"type": "new_comment", "body": "at once"})
    for listener in listeners:
        assert [comment["seq"] for comment in await listener.receive_many(100)] == list(range(1, 101))


async def test_a_comment_of_the_greatest_size_crosses_processes(
    service: Service, twin: Service, connect: Connect, post: int, user: int
) -> None:
    sender = await connect(service, f"/ws/live-comments/{post}", user=user)
    there = await connect(twin, f"/ws/live-comments/{post}", user=user)
    for body in ("😀" * 4000, '"\\' * 2000, "\u2028" * 4000, "\x01" * 4000):
        await sender.comment(body)
        assert (await there.receive())["body"] == body


async def test_all_workers_of_one_service_share_their_events(
    shared_service: StartService, connect: Connect, post: int
) -> None:
    service = shared_service(WEB_CONCURRENCY="2")
    listeners = await asyncio.gather(
        *(connect(service, f"/ws/live-comments/{post}", user=user) for user in range(1, 21))
    )
    sender = await connect(service, f"/ws/live-comments/{post}", user=100)
    for body in ("first", "second"):
        await sender.comment(body)
    for listener in listeners:
        assert [comment["body"] for comment in await listener.receive_many(2)] == ["first", "second"]


async def test_services_that_share_a_valkey_do_not_hear_each_other(
    shared_service: StartService, valkey: str, connect: Connect, post: int
) -> None:
    """Publish and subscribe go through all of a Valkey's databases."""
    path = f"/ws/live-comments/{post}"
    ours, theirs = shared_service(VALKEY_URL=valkey), shared_service(VALKEY_URL=valkey, DRAIN_SECONDS="1")
    stranger = await connect(theirs, path, user=1)
    writer, listener = [await connect(ours, path, user=user) for user in (1, 2)]
    await stranger.comment("theirs")
    await writer.comment("ours")
    assert (await listener.receive())["body"] == "ours"
