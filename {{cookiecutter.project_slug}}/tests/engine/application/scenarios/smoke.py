"""A little of everything."""

from loadtests.engine.losses import Stormy
from loadtests.engine.scenarios.echo import Echo
from loadtests.engine.scenarios.idle import Idle
from tests.engine.application.scenarios.clubs import Treasurer
from tests.engine.application.scenarios.rooms import InARoom, Reader, Writer

__all__ = ["Echo", "Idle", "Reader", "StormyReader", "Treasurer", "Writer"]


class StormyReader(InARoom, Stormy):
    """Nineteen of twenty."""

    weight = 19
