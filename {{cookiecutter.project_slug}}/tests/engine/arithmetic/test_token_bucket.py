"""How much a connection may send: so many at once, so many a second."""

import pytest

from service.engine.link import limits
from service.engine.link.limits import TokenBucket

START = 1000.0


@pytest.fixture(autouse=True)
def _made_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "monotonic", lambda: START)


def taken(bucket: TokenBucket, now: float, tries: int) -> int:
    return sum(bucket.take(now) for _ in range(tries))


@pytest.mark.parametrize("burst", [1, 5, 40])
def test_a_burst_is_let_through_and_no_more(burst: int) -> None:
    assert taken(TokenBucket(0.001, burst), START, burst + 10) == burst


def test_after_a_burst_the_rate_counts() -> None:
    bucket, now = TokenBucket(20, 40), START
    assert taken(bucket, now, 100) == 40
    assert taken(bucket, now + 0.5, 100) == 10
    assert taken(bucket, now + 0.51, 100) == 0
    assert taken(bucket, now + 0.56, 100) == 1


def test_what_is_refused_costs_nothing() -> None:
    """A client that goes on sending gets its rate all the same."""
    bucket, now = TokenBucket(10, 1), START
    bucket.take(now)
    accepted = sum(bucket.take(now + number / 1000) for number in range(1, 2001))
    assert 19 <= accepted <= 20


def test_silence_fills_it_up_to_the_burst_and_not_beyond() -> None:
    bucket, now = TokenBucket(20, 40), START
    taken(bucket, now, 40)
    assert taken(bucket, now + 3600, 1000) == 40


def test_a_rate_below_one_a_second_lets_some_through() -> None:
    bucket, now = TokenBucket(0.5, 1), START
    assert [bucket.take(now + second) for second in range(6)] == [True, False, True, False, True, False]


def test_a_rate_of_zero_sets_no_limit() -> None:
    assert taken(TokenBucket(0, 0), START, 1000) == 1000
