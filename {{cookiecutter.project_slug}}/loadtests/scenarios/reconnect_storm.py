"""Everybody loses the connection at the same moment, every ten seconds, and comes back: a load balancer that fails."""

import time

from locust import User, task

from loadtests.scenarios.live_comments import CommentsUser, Writer

__all__ = ["Stormy", "Writer"]

_EVERY = 10


def _until_the_next(_user: User) -> float:
    """Seconds to a moment that is the same for all clients, on whichever machine they are."""
    return _EVERY - time.time() % _EVERY


class Stormy(CommentsUser):
    """Reads, and is cut off with everybody else."""

    weight = 19
    wait_time = _until_the_next
    _was_here = False

    @task
    def lose_the_connection(self) -> None:
        """The first time, at the start, is not a storm."""
        if self._was_here:
            self.post.cut()
        self._was_here = True
        self.post.look()
