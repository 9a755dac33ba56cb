"""Everything at once, for hours: what leaks, shows; some lose their connection now and then, as people do."""

from loadtests.engine.losses import Wandering
from loadtests.engine.scenarios.echo import Echo
from loadtests.engine.scenarios.idle import Idle
from loadtests.scenarios.live_comments import OnAPost, Reader, Writer
from loadtests.scenarios.notifications import Notified

__all__ = ["Echo", "Idle", "Notified", "Reader", "Wanderer", "Writer"]


class Wanderer(OnAPost, Wandering):
    """Reads, and goes and comes."""

    weight = 3
