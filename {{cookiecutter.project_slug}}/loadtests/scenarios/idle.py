"""Capacity: connections that are held and do nothing; each asks for a sign of life now and then."""

from locust import between, task

from loadtests.users import WebSocketUser


class Idle(WebSocketUser):
    """Waits for notifications that never come."""

    kind = "idle"
    wait_time = between(20, 40)

    def on_start(self) -> None:
        self.connection = self.follow("/ws/notifications", stream=f"user {self.identity.user_id}")
        self.connection.start()

    def on_stop(self) -> None:
        self.connection.close()

    @task
    def show_life(self) -> None:
        """Measure that the service answers each of its many connections."""
        self.connection.ping()
