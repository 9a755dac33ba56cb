"""Eight steps of equal size and length: the one on which latency leaves the floor is the knee."""

from loadtests.engine.shape import Shape

_STEPS = 8


class Steps(Shape):
    """Stays on each step long enough to be measured."""

    def users(self, part: float, most: int) -> float:
        return most * (1 + int(_STEPS * part)) / _STEPS
