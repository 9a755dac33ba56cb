"""A little of everything, in 20 seconds: what CI runs."""

from loadtests.engine.scenarios.echo import Echo
from loadtests.engine.scenarios.idle import Idle
from loadtests.scenarios.live_comments import Reader, Writer
from loadtests.scenarios.notifications import Notified
from loadtests.scenarios.reconnect_storm import StormyReader

__all__ = ["Echo", "Idle", "Notified", "Reader", "StormyReader", "Writer"]
