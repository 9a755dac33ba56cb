"""What shapes of load have in common: they last for `--run-time`, and their measure is `--users`."""

from abc import abstractmethod

from locust import LoadTestShape

from loadtests.engine.users import options_of

_AT_ONCE = 100
"""New users a second: faster than that Locust itself is what one measures."""


class Shape(LoadTestShape):
    """A number of users that depends on how much of the time is over."""

    abstract = True
    use_common_options = True

    @abstractmethod
    def users(self, part: float, most: int) -> float:
        """How many there are when `part` of the time (0 to 1) is over."""

    def tick(self) -> tuple[int, float] | None:
        """What Locust asks once a second."""
        assert self.runner is not None
        options = options_of(self.runner.environment)
        part = self.get_run_time() / options.run_time  # type: ignore[no-untyped-call]
        return (max(1, round(self.users(part, options.num_users))), _AT_ONCE) if part < 1 else None
