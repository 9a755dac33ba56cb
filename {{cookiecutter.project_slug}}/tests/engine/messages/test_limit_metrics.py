"""Each limit is counted under its name; whoever goes beyond it harms nobody else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.engine.kit.client import connected, refused
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.raw import RawClient
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

MOST, MOST_PER_USER, BURST = 8, 3, 10
ENTRIES = "/ws/rooms/1"
GREEDY = 3
"""The user who goes too far."""


@pytest.fixture
def service(shared_service: StartService, go_too_far: Callable[[Service], Awaitable[None]]) -> Service:
    """A service with small limits, each of which can be reached alone: heartbeats end who does not read, too."""
    return shared_service(
        module="tests.engine.application",
        HEARTBEAT_INTERVAL="1" if go_too_far is not_answering else "0",
        HEARTBEAT_TIMEOUT="1",
        MAX_CONNECTIONS=str(MOST),
        MAX_CONNECTIONS_PER_USER=str(MOST_PER_USER),
        MAX_MESSAGE_BYTES="60000",
        MAX_OUTBOX_BYTES="65536",
        RATE_LIMIT="1000",
        RATE_LIMIT_BURST=str(BURST),
    )


async def too_big(service: Service) -> None:
    async with connected(service.ws, ENTRIES, user=GREEDY) as client:
        await client.send_raw("x" * 70_000)
        assert (await client.closed())[0] == 1009


async def too_fast(service: Service) -> None:
    async with connected(service.ws, "/ws/echo") as client:
        for _ in range(200):
            await client.send_raw("x")
        answers = [await client.receive_raw() for _ in range(200)]
        assert any("rate_limited" in str(answer) for answer in answers)


async def wrong_again_and_again(service: Service) -> None:
    async with connected(service.ws, ENTRIES, user=GREEDY) as client:
        for _ in range(10):
            await client.send_raw("{")
            await client.receive()
        assert await client.closed() == (1008, "too many bad messages in a row")


async def following_everything(service: Service) -> None:
    async with connected(service.ws, "/ws/glutton", user=GREEDY) as client:
        ending = await client.ending()
        assert (ending.messages[-1]["code"], ending.code) == ("too_many_subscriptions", 4403)


async def not_reading(service: Service) -> None:
    async with (
        RawClient.connected(service.port, "/ws/rooms/2", token(GREEDY), receive_buffer=4096) as client,
        connected(service.ws, "/ws/rooms/2", user=4) as writer,
    ):
        for _ in range(400):
            await writer.ask({"type": "new_entry", "body": "😀" * 4000})
        assert await client.close_code(30) in {1013, 1006}


async def not_answering(service: Service) -> None:
    async with connected(service.ws, ENTRIES, user=GREEDY) as client:
        assert (await client.closed())[0] == 4408


async def crashing(service: Service) -> None:
    async with connected(service.ws, "/ws/bug") as client:
        await client.send_raw("x")
        assert (await client.closed())[0] == 1011


async def one_more_of_a_user(service: Service) -> None:
    await one_more_than(service, MOST_PER_USER, lambda _: GREEDY, (429, "too_many_connections", 1013))


async def one_more_of_all(service: Service) -> None:
    await one_more_than(service, MOST - 1, lambda number: 10 + number, (503, "at_capacity", 1013))


async def one_more_than(service: Service, most: int, user: Callable[[int], int], reason: tuple[int, str, int]) -> None:
    clients = [connected(service.ws, ENTRIES, user=user(number)) for number in range(most)]
    await asyncio.gather(*(client.__aenter__() for client in clients))
    assert (await refused(service.ws, ENTRIES, user=user(most))).reason == reason
    await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))


LIMITS: dict[Callable[[Service], Awaitable[None]], list[str]] = {
    too_big: ['websocket_limits_total{limit="message_size"}', 'websocket_closes_total{code="1009"}'],
    too_fast: ['websocket_limits_total{limit="rate"}'],
    wrong_again_and_again: [
        'websocket_limits_total{limit="bad_messages"}',
        'websocket_bad_messages_total{code="invalid_json"}',
        'websocket_closes_total{code="1008"}',
    ],
    following_everything: ['websocket_limits_total{limit="subscriptions"}'],
    not_reading: [
        'websocket_limits_total{limit="outbox"}',
        "websocket_slow_consumers_total",
        'websocket_closes_total{code="1013"}',
    ],
    not_answering: ["websocket_heartbeat_timeouts_total", 'websocket_closes_total{code="4408"}'],
    crashing: ['websocket_handler_errors_total{endpoint="/ws/bug"}', 'websocket_closes_total{code="1011"}'],
    one_more_of_a_user: ['websocket_refusals_total{reason="too_many_connections"}'],
    one_more_of_all: ['websocket_refusals_total{reason="at_capacity"}'],
}


@pytest.fixture
async def witness(service: Service, connect: Connect) -> AsyncIterator[None]:
    """Somebody who keeps within the limits, and must not notice."""
    await eventually(lambda: service.open_sockets() == 0, "the service is empty")
    client = await connect(service, "/ws/rooms/3", user=1)

    async def live() -> None:
        while True:
            await client.lives()
            await asyncio.sleep(0.2)

    living = asyncio.create_task(live())
    yield
    assert not living.done(), living.exception()
    living.cancel()


@pytest.mark.parametrize(("go_too_far", "metrics"), LIMITS.items(), ids=[cause.__name__ for cause in LIMITS])
@pytest.mark.usefixtures("witness")
async def test_a_limit_is_counted_under_its_name_and_harms_nobody_else(
    service: Service, go_too_far: Callable[[Service], Awaitable[None]], metrics: list[str]
) -> None:
    async with http_client(service.http, headers={"Connection": "close"}) as http:

        async def counts() -> list[float]:
            samples = [line.rsplit(" ", 1) for line in (await http.get("/metrics")).text.splitlines()]
            values = {name: float(value) for name, value in samples if not name.startswith("#")}
            return [values.get(metric, 0) for metric in metrics]

        async def each_is_one_more() -> bool:
            return all(now > then for then, now in zip(before, await counts(), strict=True))

        before = await counts()
        await go_too_far(service)
        await eventually(each_is_one_more, f"{metrics} are counted")
