"""Clients that write, vanish and come back while processes die: afterwards each must know exactly what is stored.

`python -m tests.delivery` runs the long form against a service of its own and exits with 1 at the first difference.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.postgres import Database
from tests.running import Service
from tests.steady_client import SteadyClient
from tests.waiting import eventually


@dataclass
class Load:
    """How much is asked of the services."""

    clients: int = 200
    topics: int = 20
    comments: int = 20_000
    resets_a_second: float = 20
    within: float = 300


async def run(services: Sequence[Service], load: Load, *, kill: bool = True) -> None:
    """Put the load on services that share a database; half-way kill one of their workers."""
    addresses = [service.ws for service in services]
    clients = [SteadyClient(addresses, number % load.topics + 1, number + 1) for number in range(load.clients)]
    async with asyncio.TaskGroup() as group:
        following = [group.create_task(client.run()) for client in clients]
        losing = group.create_task(lose_connections(clients, load.resets_a_second))
        for number in range(load.comments):
            await random.choice(clients).comment(f"comment {number}")
            if kill and number == load.comments // 2:
                random.choice(services[-1].workers()).kill()
            if number % load.clients == 0:
                await asyncio.sleep(0.05)
        losing.cancel()
        await eventually(lambda: all(client.settled for client in clients), "all is confirmed", within=load.within)
        tables = [stored(services[0].database, topic + 1) for topic in range(load.topics)]
        await eventually(
            lambda: all(client.position >= len(tables[number % load.topics]) for number, client in enumerate(clients)),
            "all is delivered",
            within=load.within,
        )
        for task in following:
            task.cancel()
    for number, client in enumerate(clients):
        assert sorted(client.seen.items()) == tables[number % load.topics], f"client {number} knows something else"
        assert not client.out_of_order, f"client {number} was told in another order"
        assert not client.twice, f"client {number} was told twice on one connection"
    assert sum(map(len, tables)) == load.comments


async def lose_connections(clients: Sequence[SteadyClient], a_second: float) -> None:
    while a_second:
        await asyncio.sleep(random.expovariate(a_second))
        random.choice(clients).reset()


def stored(database: Database, post: int) -> list[tuple[int, ...]]:
    """`seq` and id of each comment on a post."""
    return database.rows("select seq, id from comments where post_id = %s order by seq", post)


def main(arguments: Sequence[str] | None = None) -> int:
    """The long form."""
    from tests.postgres import Cluster

    parser = argparse.ArgumentParser(prog="python -m tests.delivery", description=__doc__)
    parser.add_argument("--clients", type=int, default=Load.clients)
    parser.add_argument("--topics", type=int, default=Load.topics)
    parser.add_argument("--comments", type=int, default=Load.comments)
    options = parser.parse_args(arguments)
    cluster = Cluster()
    services: list[Service] = []
    try:
        cluster.address.create_template()
        database = cluster.address.create_database()
        services += [Service(database), Service(database)]
        asyncio.run(run(services, Load(options.clients, options.topics, options.comments)))
    except AssertionError as difference:
        print(difference, file=sys.stderr)
        return 1
    finally:
        for service in services:
            service.discard()
        cluster.destroy()
    print(f"{options.comments} comments, {options.clients} clients: each knows exactly what is stored")
    return 0


if __name__ == "__main__":
    sys.exit(main())
