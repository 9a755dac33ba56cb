"""A little of everything, in 20 seconds: what CI runs."""

from loadtests.engine.scenarios.echo import Echo
from loadtests.engine.scenarios.idle import Idle
from loadtests.engine.scenarios.reconnect_storm import Storm

__all__ = ["Echo", "Idle", "Storm"]
