"""What receives traces and error reports."""

from collections.abc import Iterator

import pytest

from tests.engine.observability.receivers import Receiver, receiving


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """One that takes all it is sent, from everybody."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def own_receiver() -> Iterator[Receiver]:
    """One that a test may harm, or that hears of nobody else."""
    with receiving() as receiver:
        yield receiver
