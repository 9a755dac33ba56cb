"""Whoever comes with a position while their stream is being opened is caught up before anything is live."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.engine.delivery.catch_up import catch_up
from service.engine.delivery.hub import Hub
from service.engine.delivery.topic import Topic
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.tasks import Tasks
from service.engine.foundation.wire import Pong
from service.engine.streams.event import Event
from service.engine.streams.stored import Announcement

STORED = 3


class Stored:
    """A stream with three events, from a database that takes its time."""

    name = "rooms/1"

    async def read(self, after: int, limit: int) -> list[Event]:
        await asyncio.sleep(0.01)
        return [Event(self.name, seq, Pong()) for seq in range(after + 1, STORED + 1)][:limit]


class Reader:
    """A subscriber that notes what it is sent."""

    id = "1"
    form = staticmethod(lambda event: event.seq)

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def push(self, seq: int) -> None:
        self.heard.append(seq)

    async def drained(self) -> None: ...

    def caught_up(self, _stream: str, seq: int) -> None:
        self.heard.append(f"caught up to {seq}")


def failed(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("announced", [[], [3], [2, 3], [1, 2, 3]], ids=str)
@pytest.mark.parametrize("late", [False, True], ids=["opened before", "opened after"])
async def test_all_that_was_stored_comes_first(announced: list[int], late: bool) -> None:
    """What a broker carries while it is being opened is among what is stored."""
    metrics, unused = Metrics(), cast("Any", None)
    topic = Topic(cast("Any", Stored()), unused, Tasks(failed), metrics)
    hub = Hub(cast("Any", SimpleNamespace(database=None, broker=None)), unused, metrics)
    reader = Reader()
    for seq in announced:
        topic.receive(Announcement(seq=seq))
    if late:
        asyncio.get_running_loop().call_later(0.02, topic.open, STORED)
    else:
        topic.open(STORED)
    async with asyncio.timeout(5):
        await catch_up(cast("Any", reader), hub, topic, 1, opens=True)
    assert reader.heard == [2, 3, "caught up to 3"]
