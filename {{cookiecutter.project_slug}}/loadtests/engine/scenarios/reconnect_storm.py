"""Everybody loses the connection at the same moment, every ten seconds, and comes back: a load balancer that fails."""

from loadtests.engine.losses import Stormy
from loadtests.engine.scenarios.idle import Quiet


class Storm(Quiet, Stormy):
    """Does nothing but come back."""
