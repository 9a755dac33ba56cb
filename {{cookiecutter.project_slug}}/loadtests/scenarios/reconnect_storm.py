"""All readers lose the connection at the same moment, every ten seconds, and come back for what they missed."""

from loadtests.engine.losses import Stormy
from loadtests.scenarios.live_comments import OnAPost, Writer

__all__ = ["StormyReader", "Writer"]


class StormyReader(OnAPost, Stormy):
    """Nineteen of twenty."""

    weight = 19
