"""Processes are replaced while clients write and read: nothing may be lost, nobody stay away."""

from loadtests.scenarios.live_comments import Reader, Writer

__all__ = ["Reader", "Writer"]
