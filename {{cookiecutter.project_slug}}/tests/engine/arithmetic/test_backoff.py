"""How long to wait between attempts: at random, below a bound that doubles."""

import asyncio

import pytest

from service.engine.foundation.backoff import Backoff

FIRST, MOST = 0.1, 2.0


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that would have been."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return found


async def test_each_wait_is_below_a_bound_that_doubles_up_to_the_most(waits: list[float]) -> None:
    bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    for _ in range(50):
        backoff = Backoff(FIRST, MOST)
        waits.clear()
        for _ in bounds:
            await backoff.wait()
        assert all(FIRST / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))


async def test_waits_are_spread_over_the_whole_of_it(waits: list[float]) -> None:
    """So that many who failed at the same time do not come back at the same time."""
    backoff = Backoff(FIRST, MOST)
    for _ in range(1000):
        await backoff.wait()
    late = waits[10:]
    assert min(late) < 0.2
    assert max(late) > 1.8
    assert 0.8 < sum(late) / len(late) < 1.3


async def test_after_a_success_it_begins_anew(waits: list[float]) -> None:
    backoff = Backoff(FIRST, MOST)
    for _ in range(10):
        await backoff.wait()
    backoff.reset()
    await backoff.wait()
    assert waits[-1] <= FIRST
