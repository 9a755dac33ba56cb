"""Processes are replaced while clients write and read: nothing may be lost, nobody stay away."""

from tests.engine.application.scenarios.rooms import Reader, Writer

__all__ = ["Reader", "Writer"]
