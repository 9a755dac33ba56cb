"""Round trips: everybody says something once a second and waits to hear it again."""

from time import monotonic

from gevent.event import AsyncResult
from locust import constant_pacing, task
from locust.env import Environment

from loadtests.engine.users import ConnectedUser

_PATIENCE = 10


class Echo(ConnectedUser):
    """Says something every second."""

    kind = "echo"
    wait_time = constant_pacing(1)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._answer: AsyncResult[str | bytes] = AsyncResult()
        self.connection = self.connect("/ws/echo", self._heard)

    def _heard(self, message: str | bytes) -> None:
        self._answer.set(message)

    @task
    def say(self) -> None:
        """Measure one round trip; without a connection there is none to measure."""
        self._answer = AsyncResult()
        started = monotonic()
        if not self.connection.send("hello"):
            return
        answer = self._answer.wait(_PATIENCE)
        if answer == "Echo: hello":
            self.measures.took("round trip", monotonic() - started)
        else:
            reason = "no answer" if answer is None else "another answer"
            self.measures.failed("round trip", reason, monotonic() - started)
