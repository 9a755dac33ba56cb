"""Users that lose their connection and come back: to be mixed into those of a scenario."""

import time

from locust import User, between, task

from loadtests.engine.users import ConnectedUser

_EVERY = 10


def _until_the_next(_user: User) -> float:
    """Seconds to a moment that is the same for all clients, on whichever machine they are."""
    return _EVERY - time.time() % _EVERY


class Stormy(ConnectedUser):
    """Is cut off at the same moment as everybody else, every ten seconds."""

    abstract = True
    wait_time = _until_the_next
    _was_here = False

    @task
    def lose_the_connection(self) -> None:
        """The first time, at the start, is not a storm."""
        if self._was_here:
            self.connection.cut()
        self._was_here = True
        self.connection.look()


class Wandering(ConnectedUser):
    """Loses the connection about once a minute, as people do."""

    abstract = True
    wait_time = between(30, 90)

    @task
    def wander(self) -> None:
        """Go through a tunnel."""
        self.connection.look()
        self.connection.cut()
