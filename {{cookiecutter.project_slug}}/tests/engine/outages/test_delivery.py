"""Nothing that was committed is lost, doubled or out of order, whoever dies meanwhile."""

import asyncio
import os
import re
import signal
from collections.abc import Callable

from tests.engine import delivery
from tests.engine.kit.client import connected
from tests.engine.kit.fixture_types import Broker, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address, Cluster, Database
from tests.engine.kit.running import Service
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter


async def test_every_client_knows_exactly_what_is_stored(
    start_service: StartService, database: Database, broker: Broker
) -> None:
    """Clients of two processes lose their connections at random, one process is killed half-way."""
    service = start_service(database=database, WEB_CONCURRENCY="2", DATABASE_POOL_SIZE="2", **broker)
    await delivery.run([service], delivery.Load(clients=40, readers=5, topics=5, entries=1000, within=20))
    errors = [line for line in service.log_lines() if line["level"] == "error"]
    assert [line["event"] for line in errors if "SIGKILL" not in line["event"]] == []


async def test_an_outage_of_the_database_under_load_ends_no_connection_and_loses_nothing(
    application_module: str,
) -> None:
    cluster = Cluster(application_module)
    try:
        with delivery.two_services(cluster.address) as services:
            load = delivery.Load(clients=20, readers=4, topics=4, entries=100, within=3 * delivery.PROMISED)
            await delivery.outlast(services, cluster, 1, load)
    finally:
        cluster.destroy()


async def test_restarts_one_after_the_other_under_load_lose_nothing(postgres: Address) -> None:
    with delivery.two_services(postgres, DRAIN_SECONDS="1") as services:
        load = delivery.Load(clients=40, topics=5, entries=200, within=10)
        await delivery.restart_again_and_again(services, 2, load)


async def test_a_reload_replaces_every_process_and_loses_nothing(
    start_service: StartService, database: Database
) -> None:
    """By SIGHUP, on which gunicorn starts new workers and ends the old ones."""
    service = start_service(database=database, WEB_CONCURRENCY="2", DRAIN_SECONDS="1", DATABASE_POOL_SIZE="2")
    load = delivery.Load(clients=20, topics=2, entries=100, within=10)
    async with delivery.following([service], load) as clients:
        await eventually(lambda: all(client.connections for client in clients), "all are connected")
        old = {worker.pid for worker in service.workers()}
        writing = asyncio.create_task(delivery.write_evenly(clients, load.entries, 4))
        os.kill(service.process.pid, signal.SIGHUP)
        await eventually(lambda: all(client.connections > 1 for client in clients), "all have reconnected")
        await writing
        await eventually(lambda: not old & {worker.pid for worker in service.workers()}, "the old ones have ended")
        await delivery.all_known([service], clients, load)


async def test_clients_that_return_at_once_share_their_queries(
    service: Service, start_service: StartService, number: Callable[[], int]
) -> None:
    """To a process that has none of what they missed in its memory."""
    rooms, clients = [number() for _ in range(5)], 200
    for room in rooms:
        async with connected(service.ws, f"/ws/rooms/{room}", user=1) as writer:
            for _ in range(20):
                await enter(writer, "missed")
    fresh = start_service(database=service.database)

    async def returns(client_number: int) -> int:
        path = f"/ws/rooms/{rooms[client_number % len(rooms)]}"
        async with connected(fresh.ws, path, user=client_number, after=10) as client:
            return len(await client.receive_until("caught_up"))

    assert set(await asyncio.gather(*map(returns, range(clients)))) == {11}
    async with http_client(fresh.http) as http:

        async def queries() -> float:
            counted = re.search(r"^hub_history_queries_total (\S+)", (await http.get("/metrics")).text, re.MULTILINE)
            return float(counted[1]) if counted else 0

        await eventually(queries, "queries are counted")
        assert await queries() <= len(rooms)
