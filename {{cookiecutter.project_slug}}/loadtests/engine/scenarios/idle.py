"""Capacity: connections that are held and do nothing; each asks for a sign of life now and then."""

from locust import between, task
from locust.env import Environment

from loadtests.engine.client import Client
from loadtests.engine.users import ConnectedUser


class Quiet(ConnectedUser):
    """Has a connection on which nothing ever comes."""

    abstract = True
    kind = "idle"
    connection: Client

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.connection = self.join("/ws/ping")


class Idle(Quiet):
    """Asks whether the service is still there, about twice a minute."""

    wait_time = between(20, 40)

    @task
    def show_life(self) -> None:
        """Measure that the service answers each of its many connections."""
        self.connection.ping()
