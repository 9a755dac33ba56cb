"""A tenth of the users, then all of them at once, then a tenth again: does it recover?"""

from loadtests.engine.shape import Shape


class Spike(Shape):
    """A third of the time each."""

    def users(self, part: float, most: int) -> float:
        return most if 1 / 3 <= part < 2 / 3 else most / 10
