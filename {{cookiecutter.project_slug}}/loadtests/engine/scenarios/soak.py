"""Everything at once, for hours: what leaks, shows; some lose their connection now and then, as people do."""

from loadtests.engine.losses import Wandering
from loadtests.engine.scenarios.echo import Echo
from loadtests.engine.scenarios.idle import Idle, Quiet

__all__ = ["Echo", "Idle", "Wanderer"]


class Wanderer(Quiet, Wandering):
    """Goes and comes."""
