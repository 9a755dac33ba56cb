"""Processes are replaced while clients are connected: nobody may stay away."""

from locust import constant, task

from loadtests.engine.scenarios.idle import Quiet


class Watcher(Quiet):
    """Asks every second whether the service is still there."""

    wait_time = constant(1)

    @task
    def watch(self) -> None:
        """Measure an answer; while there is no connection there is none."""
        self.connection.ping()
