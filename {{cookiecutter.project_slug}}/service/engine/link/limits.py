"""How fast one connection may send."""

from time import monotonic


class TokenBucket:
    """`rate` messages a second, and `burst` at once. A rate of 0 sets no limit."""

    __slots__ = ("_burst", "_level", "_rate", "_since")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._level = self._burst
        self._since = monotonic()

    def widen(self, messages: int) -> None:
        """Let so many more come at once."""
        self._burst += messages
        self._level += messages

    def take(self, now: float) -> bool:
        """Take one; False if there is none left. `now` is a monotonic time."""
        if not self._rate:
            return True
        level = min(self._burst, self._level + (now - self._since) * self._rate)
        self._since = now
        if level < 1:
            self._level = level
            return False
        self._level = level - 1
        return True
