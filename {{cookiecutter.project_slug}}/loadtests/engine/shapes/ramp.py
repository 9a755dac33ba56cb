"""From nobody to everybody at an even pace: where does it begin to hurt?"""

from loadtests.engine.shape import Shape


class Ramp(Shape):
    """Grows until the end."""

    def users(self, part: float, most: int) -> float:
        return most * part
