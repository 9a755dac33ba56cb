"""Saying why something that is tried again and again does not work: at once, then now and then."""

from time import monotonic

import structlog

_EVERY_SECONDS = 30.0


class Trouble:
    """One thing that may fail for long."""

    def __init__(self, event: str, every: float = _EVERY_SECONDS) -> None:
        self._logger = structlog.get_logger(__name__)
        self._event = event
        self._every = every
        self._last = float("-inf")
        self._failures = 0

    def failed(self, error: BaseException) -> None:
        """Log the reason, unless that was done a moment ago."""
        self._failures += 1
        if monotonic() - self._last >= self._every:
            self._last = monotonic()
            why = str(error).strip().splitlines()
            self._logger.warning(
                self._event, error=type(error).__name__, why=" ".join(why)[:500], failures=self._failures
            )

    def over(self) -> None:
        """It works: the next failure is a new one."""
        self._failures = 0
        self._last = float("-inf")
