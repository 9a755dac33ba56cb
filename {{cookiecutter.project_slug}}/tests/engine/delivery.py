"""Clients that write, vanish and come back while processes and servers die: each must know exactly what is stored.

`python -m tests.engine.delivery` runs the long form against services of its own, and exits with 1 at a difference.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from tests.engine.kit.postgres import Address, Cluster, Database
from tests.engine.kit.running import Service
from tests.engine.kit.valkey import Valkey
from tests.engine.kit.waiting import eventually
from tests.engine.steady_client import SteadyClient
from tests.engine.steady_readers import Reader, ReaderOfEvents, ReaderOfMany

APPLICATION = "tests.engine.application"
PROMISED = 5.0
"""Seconds after a server's return within which everything that was committed has been delivered."""


@dataclass(kw_only=True)
class Load:
    """How much is asked of the services."""

    clients: int = 200
    readers: int = 20
    """Of up to 20 topics on one connection each, and as many of one topic by server-sent events."""
    topics: int = 20
    entries: int = 20_000
    resets_a_second: float = 20
    within: float = 300


class Server(Protocol):
    """What the services depend on, and may go."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


async def run(services: Sequence[Service], load: Load, *, kill: bool = True) -> None:
    """Put the load on services that share a database; half-way kill one of their workers."""
    async with following(services, load) as clients, reading(services, load) as readers:
        losing = asyncio.create_task(lose_connections([*clients, *readers], load.resets_a_second))
        for number in range(load.entries):
            await random.choice(clients).write(f"entry {number}")
            if kill and number == load.entries // 2:
                random.choice(services[-1].workers()).kill()
            if number % load.clients == 0:
                await asyncio.sleep(0.05)
        losing.cancel()
        await all_known(services, clients, load)
        await all_read(services, readers, load)


async def outlast(services: Sequence[Service], server: Server, seconds: float, load: Load) -> None:
    """Stop a server under load and start it again after `seconds`: no connection may end meanwhile."""
    async with following(services, load) as clients, reading(services, load) as readers:
        everybody: list[SteadyClient | Reader] = [*clients, *readers]
        await eventually(lambda: all(each.connections for each in everybody), "all are connected")
        writing = asyncio.create_task(write_evenly(clients, load.entries, seconds + 2))
        await asyncio.sleep(1)
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(server.start)
        await writing
        await all_known(services, clients, load)
        await all_read(services, readers, load)
        ended = {f"{type(each).__name__} {each.connections}" for each in everybody if each.connections != 1}
        assert not ended, f"connections ended: {ended}"


async def restart_again_and_again(services: list[Service], restarts: int, load: Load) -> None:
    """Stop one service after the other under load, each within its drain, and start it again."""
    async with following(services, load) as clients:
        await eventually(lambda: all(client.connections for client in clients), "all are connected", within=30)
        writing = asyncio.create_task(write_evenly(clients, load.entries, restarts * 3))
        for number in range(restarts):
            old = services[number % len(services)]
            old.terminate()
            drain = float(old.settings["DRAIN_SECONDS"])
            assert await asyncio.to_thread(old.wait, drain + 5) == 0, old.log()
            services[number % len(services)] = await asyncio.to_thread(Service, old.database, old.settings)
            old.discard()
        await writing
        await all_known(services, clients, load)


@asynccontextmanager
async def following(services: Sequence[Service], load: Load) -> AsyncIterator[list[SteadyClient]]:
    """Clients of the services, spread over the topics."""
    addresses = [service.ws for service in services]
    clients = [SteadyClient(addresses, number % load.topics + 1, number + 1) for number in range(load.clients)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.run()) for client in clients]
        yield clients
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def reading(services: Sequence[Service], load: Load) -> AsyncIterator[list[Reader]]:
    """Readers of all topics of the load, in both ways."""
    rooms = [f"rooms/{topic + 1}" for topic in range(load.topics)]
    readers: list[Reader] = []
    for number in range(load.readers):
        user, some = 1_000_000 + number, random.sample(rooms, min(20, len(rooms)))
        readers.append(ReaderOfMany([service.ws for service in services], some, user))
        readers.append(ReaderOfEvents([service.http for service in services], [rooms[number % len(rooms)]], user))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.run()) for reader in readers]
        yield readers
        for task in tasks:
            task.cancel()


async def all_read(services: Sequence[Service], readers: Sequence[Reader], load: Load) -> None:
    """Each reader's log of each of its streams is the table."""
    tables = {f"rooms/{topic + 1}": stored(services[0].database, topic + 1) for topic in range(load.topics)}
    await eventually(
        lambda: all(reader.position(stream) >= len(tables[stream]) for reader in readers for stream in reader.streams),
        "all is read",
        within=load.within,
    )
    for reader in readers:
        for stream, seen in reader.seen.items():
            assert seen == tables[stream], f"{type(reader).__name__} knows something else of {stream}"


async def all_known(services: Sequence[Service], clients: Sequence[SteadyClient], load: Load) -> None:
    """Everything is confirmed in time, and each client's log is the table: in order, nothing twice."""
    await eventually(lambda: all(client.settled for client in clients), "all is confirmed", within=load.within)
    tables = [stored(services[0].database, topic + 1) for topic in range(load.topics)]
    await eventually(
        lambda: all(client.position >= len(tables[number % load.topics]) for number, client in enumerate(clients)),
        "all is delivered",
        within=load.within,
    )
    for number, client in enumerate(clients):
        assert sorted(client.seen.items()) == tables[number % load.topics], f"client {number} knows something else"
        assert not client.out_of_order, f"client {number} was told in another order"
        assert not client.twice, f"client {number} was told twice on one connection"
    assert sum(map(len, tables)) == load.entries


async def write_evenly(clients: Sequence[SteadyClient], entries: int, seconds: float) -> None:
    for number in range(entries):
        await random.choice(clients).write(f"entry {number}")
        await asyncio.sleep(seconds / entries)


async def lose_connections(clients: Sequence[SteadyClient | Reader], a_second: float) -> None:
    while a_second:
        await asyncio.sleep(random.expovariate(a_second))
        random.choice(clients).reset()


def stored(database: Database, room: int) -> list[tuple[int, ...]]:
    """`seq` and id of each entry of a room."""
    return database.rows("select seq, id from entries where room_id = %s order by seq", room)


def main(arguments: Sequence[str] | None = None) -> int:
    """The long form."""
    parser = argparse.ArgumentParser(prog="python -m tests.engine.delivery", description=__doc__)
    parser.add_argument("--clients", type=int, default=Load.clients)
    parser.add_argument("--topics", type=int, default=Load.topics)
    parser.add_argument("--entries", type=int, default=Load.entries)
    parser.add_argument("--outage", type=float, default=30, help="seconds without PostgreSQL, then without Valkey")
    parser.add_argument("--restarts", type=int, default=10, help="of one service after the other, under load")
    options = parser.parse_args(arguments)
    cluster = Cluster(APPLICATION)
    try:
        load = Load(clients=options.clients, topics=options.topics, entries=options.entries)
        with two_services(cluster.address) as services:
            asyncio.run(run(services, load))
        written = f"{load.entries} entries by {load.clients} clients, one process killed"
        print(f"{written}: each knows what is stored, and {2 * load.readers} readers of many streams and of events do")
        load = replace(load, entries=min(load.entries, 1000), within=PROMISED)
        with two_services(cluster.address) as services:
            asyncio.run(outlast(services, cluster, options.outage, load))
        print(f"PostgreSQL away for {options.outage:g} s: no connection ended, nothing lost")
        valkey = Valkey()
        valkey.start()
        with two_services(cluster.address, VALKEY_URL=valkey.url) as services:
            asyncio.run(outlast(services, valkey, options.outage, load))
        valkey.stop()
        print(f"Valkey away for {options.outage:g} s: no connection ended, nothing lost")
        load = Load(clients=2000, topics=100, entries=3000, within=60)
        with two_services(cluster.address, DRAIN_SECONDS="10") as services:
            asyncio.run(restart_again_and_again(services, options.restarts, load))
        print(f"{options.restarts} restarts under {load.clients} clients: each exit in time, nothing lost")
    except AssertionError as difference:
        print(difference, file=sys.stderr)
        return 1
    finally:
        cluster.destroy()
    return 0


@contextmanager
def two_services(postgres: Address, **settings: str) -> Iterator[list[Service]]:
    database = postgres.create_database()
    services: list[Service] = []
    try:
        services += [Service(database, settings), Service(database, settings)]
        yield services
    finally:
        for service in services:
            service.discard()


if __name__ == "__main__":
    sys.exit(main())
