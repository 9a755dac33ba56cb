"""Everything at once, for hours: what leaks, shows; some lose their connection now and then, as people do."""

from locust import between, task

from loadtests.scenarios.echo import Echo
from loadtests.scenarios.idle import Idle
from loadtests.scenarios.live_comments import CommentsUser, Reader, Writer
from loadtests.scenarios.notifications import Notified

__all__ = ["Echo", "Idle", "Notified", "Reader", "Wanderer", "Writer"]


class Wanderer(CommentsUser):
    """Reads, and loses the connection about once a minute."""

    weight = 3
    wait_time = between(30, 90)

    @task
    def wander(self) -> None:
        """Go through a tunnel."""
        self.post.look()
        self.post.cut()
