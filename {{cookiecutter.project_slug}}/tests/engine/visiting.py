"""Users who come and go while processes and the broker die: when it has settled, everybody agrees on who is there.

`python -m tests.engine.visiting` runs the long form against services of its own, and exits with 1 at a difference.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.engine.delivery import APPLICATION
from tests.engine.kit.client import Client, connected
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Cluster
from tests.engine.kit.running import Service, free_port
from tests.engine.kit.tokens import bearer
from tests.engine.kit.valkey import Valkey
from tests.engine.kit.waiting import eventually

STREAM = "rooms/1"
SETTLED = 15.0
"""Seconds in which everybody agrees."""


@dataclass
class Visits:
    """How much comes and goes, for how long, and for how long the broker is away meanwhile."""

    users: int = 500
    seconds: float = 40
    outage: float = 10


class Visitor:
    """A user who is on the stream now and then, and believes what they are told."""

    def __init__(self, services: Sequence[Service], user: int) -> None:
        self.user = user
        self.stays = False
        """Whether they have come to stay; before that is settled they come and go."""
        self.present: set[int] | None = None
        """Who is there as far as they know; None while they are not."""
        self.services = services
        self._client: Client | None = None
        self._settled = asyncio.Event()

    async def run(self) -> None:
        while self.stays or not self._settled.is_set():
            with suppress(ConnectionClosed, InvalidHandshake, OSError, TimeoutError, EOFError):
                await self._visit(random.choice(self.services))
            self.present = None
            await asyncio.sleep(random.uniform(0, 0.3 if self._settled.is_set() else 4))

    def settle(self, *, stays: bool) -> None:
        """Come to stay, or leave for good."""
        self.stays = stays
        self._settled.set()
        if not stays:
            self.reset()

    def reset(self) -> None:
        """Lose the connection as a phone in a tunnel does."""
        if self._client is not None:
            self._client.websocket.transport.abort()

    async def _visit(self, service: Service) -> None:
        async with connected(service.ws, "/ws/streams", user=self.user) as client:
            self._client = client
            await client.send({"type": "subscribe", "stream": STREAM, "presence": True})
            leaving = asyncio.create_task(self._leave_after(random.uniform(0.5, 8)))
            try:
                while True:
                    self._believe(await client.receive(60))
            finally:
                leaving.cancel()
                self._client = None

    async def _leave_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if not self._settled.is_set():
            self.reset()

    def _believe(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "presence":
                self.present = set(message["users"])
            case "joined" if self.present is not None:
                self.present.add(message["user_id"])
            case "left" if self.present is not None:
                self.present.discard(message["user_id"])
            case "reconnect":
                self.reset()


async def run(services: list[Service], valkey: Valkey, visits: Visits) -> float:
    """Let them come and go; kill one process, take the broker away, drain another. Returns how long agreeing took."""
    visitors = [Visitor(services, number + 1) for number in range(visits.users)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(visitor.run()) for visitor in visitors]
        await asyncio.sleep(visits.seconds / 3)
        doomed = services.pop()
        for pid in (doomed.process.pid, *(worker.pid for worker in doomed.workers())):
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(visits.seconds / 3)
        await asyncio.to_thread(valkey.stop)
        await asyncio.sleep(visits.outage)
        await asyncio.to_thread(valkey.start)
        drained = services.pop()
        drained.terminate()
        services.append(
            await asyncio.to_thread(Service, drained.database, drained.settings | {"PORT": str(free_port())})
        )
        await asyncio.sleep(visits.seconds / 3)
        staying = {visitor.user for visitor in visitors if random.random() < 0.5}
        for visitor in visitors:
            visitor.settle(stays=visitor.user in staying)
        try:
            took = await eventually(
                lambda: agree(services, visitors, staying), "all agree on who is there", within=SETTLED
            )
        finally:
            for task in tasks:
                task.cancel()
            for service in (doomed, drained):
                service.discard()
    return took


async def agree(services: Sequence[Service], visitors: Sequence[Visitor], truth: set[int]) -> bool:
    """Whether every process, over HTTP, and everybody who is there know the truth."""
    if any(visitor.present != truth for visitor in visitors if visitor.user in truth):
        return False
    for service in services:
        async with http_client(service.http, timeout=10) as http:
            listed = (await http.get(f"/api/streams/{STREAM}/presence", headers=bearer(10**6))).json()
            if listed["count"] != len(truth) or not set(listed["users"]) <= truth:
                return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """The long form."""
    parser = argparse.ArgumentParser(prog="python -m tests.engine.visiting", description=__doc__)
    parser.add_argument("--users", type=int, default=Visits.users)
    parser.add_argument("--seconds", type=float, default=Visits.seconds)
    parser.add_argument("--outage", type=float, default=Visits.outage, help="seconds without Valkey")
    options = parser.parse_args(arguments)
    cluster, valkey = Cluster(APPLICATION), Valkey()
    valkey.start()
    services: list[Service] = []
    try:
        database = cluster.address.create_database()
        settings = {"VALKEY_URL": valkey.url, "DRAIN_SECONDS": "3"}
        services += [Service(database, settings) for _ in range(3)]
        took = asyncio.run(run(services, valkey, Visits(options.users, options.seconds, options.outage)))
        faults = "3 processes, one killed, one drained, Valkey away"
        print(f"{options.users} users came and went over {faults}: all agree after {took:.1f} s")
    except AssertionError as difference:
        print(difference, file=sys.stderr)
        return 1
    finally:
        for service in services:
            service.discard()
        valkey.stop()
        cluster.destroy()
    return 0


if __name__ == "__main__":
    sys.exit(main())
