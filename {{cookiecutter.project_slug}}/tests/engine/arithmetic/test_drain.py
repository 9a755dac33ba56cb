"""How a stopping process spreads its goodbyes over its time."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from service.engine.foundation.metrics import Metrics
from service.engine.process import drain as module
from service.engine.process.drain import drain


class Clock:
    """A time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.0)


class Leaver:
    """A connection that notes when it was told goodbye, and leaves then unless it is `busy` or `stalled`."""

    def __init__(self, connections: "Connections", *, busy: bool = False, stalled: bool = False) -> None:
        self._connections = connections
        self._busy = busy
        self._stalled = stalled
        self.told: list[tuple[float, int, bool]] = []
        self.aborted = False

    def say_goodbye(self, delay_ms: int, *, at_once: bool = False) -> None:
        self.told.append((self._connections.clock.now, delay_ms, at_once))
        if not self._stalled and (at_once or not self._busy):
            self._connections.discard(self)

    def abort(self) -> None:
        self.aborted = True


class Connections:
    """Those of a process."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.draining = False
        self.open: list[Leaver] = []

    def discard(self, leaver: Leaver) -> None:
        self.open.remove(leaver)

    def __iter__(self) -> Iterator[Leaver]:
        return iter(tuple(self.open))

    def __len__(self) -> int:
        return len(self.open)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return Connections(clock)


async def drained(connections: Connections, seconds: float) -> float:
    """Drain them; how long it took."""
    of_the_process: Any = connections
    start = connections.clock.now
    await drain(of_the_process, Metrics(), seconds)
    assert connections.draining
    return connections.clock.now - start


@pytest.mark.parametrize("count", [1, 7, 100])
async def test_goodbyes_are_spread_evenly_and_the_last_is_in_time(connections: Connections, count: int) -> None:
    leavers = connections.open = [Leaver(connections) for _ in range(count)]
    leavers = list(leavers)
    took = await drained(connections, 20)
    times = sorted(leaver.told[0][0] - 1000 for leaver in leavers)
    assert times == pytest.approx([20 * number / count for number in range(1, count + 1)])
    assert took == pytest.approx(20)


async def test_the_delays_are_spread_too(connections: Connections) -> None:
    leavers = [Leaver(connections) for _ in range(200)]
    connections.open = list(leavers)
    await drained(connections, 1)
    delays = [leaver.told[0][1] for leaver in leavers]
    assert len(set(delays)) > 100
    assert 100 <= min(delays) < 300
    assert 1300 < max(delays) <= 1500


async def test_a_process_without_connections_stays_for_load_balancers_to_notice(connections: Connections) -> None:
    assert await drained(connections, 20) == pytest.approx(1)
    assert await drained(connections, 0.3) == pytest.approx(0.3)
    assert await drained(connections, 0) == 0


async def test_who_is_busy_is_told_at_once_at_the_end_and_who_stalls_is_dropped(connections: Connections) -> None:
    busy, stalled = Leaver(connections, busy=True), Leaver(connections, stalled=True)
    connections.open = [busy, stalled]
    took = await drained(connections, 2)
    for leaver in (busy, stalled):
        assert [at_once for _, _, at_once in leaver.told] == [False, True]
    assert (busy.aborted, stalled.aborted) == (False, True)
    assert 2 < took < 4, "and it has ended soon after"
