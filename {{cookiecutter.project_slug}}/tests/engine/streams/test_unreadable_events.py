"""Whatever somebody puts on the wire between the processes, topics and their subscribers go on."""

import asyncio
import json
import re
from collections.abc import Callable

import pytest
import valkey

from tests.engine.kit.fixture_types import Broker, Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.running import Service
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

GARBAGE = ["", "nonsense-of-somebody", "[]", "null", "{}", '{"seq":"1"}', '{"seq":1,"body":"nonsense-of-somebody"}']


@pytest.fixture
def service(shared_service: StartService, broker: Broker) -> Service:
    return shared_service(**broker)


def publish(service: Service, broker: Broker, topic: str, payload: str) -> None:
    """As anybody could who has the password of the broker."""
    if broker["VALKEY_URL"]:
        with valkey.Valkey.from_url(broker["VALKEY_URL"]) as client:
            for channel in client.pubsub_channels(f"*{topic}"):
                client.publish(channel, payload)
    else:
        service.database.rows("select pg_notify(%s || '@' || 'streams'::regclass::oid, %s)", topic, payload)


async def counted(service: Service, metric: str) -> float:
    async with http_client(service.http) as http:
        found = re.search(rf"^{metric} (\S+)", (await http.get("/metrics")).text, re.MULTILINE)
    return float(found[1]) if found else 0


async def test_an_event_that_is_none_harms_no_topic(
    service: Service, broker: Broker, connect: Connect, number: Callable[[], int], room: int
) -> None:
    attacked, other = f"/ws/rooms/{room}", f"/ws/rooms/{number()}"
    clients = {path: [await connect(service, path, user=user) for user in (1, 2)] for path in (attacked, other)}
    unreadable, reconnects = "hub_unreadable_events_total", "broker_reconnects_total"
    before = await counted(service, unreadable), await counted(service, reconnects)
    for payload in GARBAGE:
        await asyncio.to_thread(publish, service, broker, f"rooms/{room}", payload)

    async def all_counted() -> bool:
        return await counted(service, unreadable) == before[0] + len(GARBAGE)

    await eventually(all_counted, "each is counted")
    for writer, reader in clients.values():
        for body in ("first", "second"):
            await enter(writer, body)
            assert (await reader.receive())["body"] == body
    assert await counted(service, reconnects) == before[1]
    lines = [line for line in service.log_lines() if line.get("topic") == f"rooms/{room}"]
    assert [(line["event"], line["level"]) for line in lines] == [("event_unreadable", "error")] * len(GARBAGE)
    assert "nonsense-of-somebody" not in json.dumps(lines)
