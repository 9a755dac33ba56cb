"""The end of a distributed run: the master waits for what the workers' clients find out at last.

With a web UI Locust's master does; without one it tells its workers to quit and is gone half a second later.
"""

from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

_SECONDS = 60
_PAUSE = 0.1


@events.test_stopping.add_listener
def wait_for_workers(environment: Environment, **_others: Any) -> None:
    """Stop the clients and wait until their workers are ready for another run."""
    runner = environment.runner
    if isinstance(runner, MasterRunner) and environment.web_ui is None:
        events.test_stopping.remove_listener(wait_for_workers)
        workers = len(runner.clients.all)
        runner.stop()
        with gevent.Timeout(_SECONDS, False):
            while len(runner.clients.ready) < workers:
                gevent.sleep(_PAUSE)


@events.test_stop.add_listener
def report(environment: Environment, **_others: Any) -> None:
    """Send what a worker's clients found out since its last report."""
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        found: dict[str, Any] = {}
        environment.events.report_to_master.fire(client_id=runner.client_id, data=found)
        runner.send_message("stats", found)
