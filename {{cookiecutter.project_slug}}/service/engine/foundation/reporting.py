"""Saying why something that is tried again and again does not work: at once, then now and then."""

import re
from time import monotonic

import structlog

_EVERY_SECONDS = 30.0
_CALM_SECONDS = 5.0
"""How long it must have worked before a failure is a new one: what fails now and then would fill the log."""
_MOST_REASONS = 5
_NUMBERS = re.compile(r"\d+")


class Trouble:
    """One thing that may fail for long."""

    def __init__(self, event: str, every: float = _EVERY_SECONDS) -> None:
        self._logger = structlog.get_logger(__name__)
        self._event = event
        self._every = every
        self._said: set[str] = set()
        self._since = self._failed_at = float("-inf")
        self._failures = 0
        self._works = False

    def failed(self, error: BaseException) -> None:
        """Log the reason, unless that was done a moment ago."""
        now = monotonic()
        if now - self._since >= self._every or (self._works and now - self._failed_at >= _CALM_SECONDS):
            self._since = now
            self._said.clear()
        self._failed_at, self._works = now, False
        self._failures += 1
        kind, why = type(error).__name__, " ".join(str(error).split())[:500]
        reason = kind + _NUMBERS.sub("", why)  # a process or a port may be another each time
        if reason not in self._said and len(self._said) < _MOST_REASONS:
            self._said.add(reason)
            self._logger.warning(self._event, error=kind, why=why, failures=self._failures)

    def over(self) -> None:
        """It works."""
        self._failures = 0
        self._works = True
