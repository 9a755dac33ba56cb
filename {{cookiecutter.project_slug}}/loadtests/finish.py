"""The end of a distributed run: the master waits for what the workers' clients find out at last.

With a web UI Locust's master does; without one it tells its workers to quit and is gone half a second later.
"""

from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

_MESSAGE = "clients_are_done"
_SECONDS = 60
_PAUSE = 0.1
_at_work: set[str] = set()
"""The workers that the master waits for."""


def wait_for_workers(environment: Environment) -> None:
    """Have the master of this environment wait at the end of its run, once."""
    runner = environment.runner
    assert isinstance(runner, MasterRunner)
    runner.register_message(_MESSAGE, _done)
    events.test_stopping.add_listener(_wait)


@events.test_stop.add_listener
def tell_the_master(environment: Environment, **_others: Any) -> None:
    """Send what a worker's clients found out since its last report, and that they are done."""
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        report: dict[str, Any] = {}
        environment.events.report_to_master.fire(client_id=runner.client_id, data=report)
        runner.send_message("stats", report)
        runner.send_message(_MESSAGE)


def _wait(environment: Environment, **_others: Any) -> None:
    events.test_stopping.remove_listener(_wait)
    assert isinstance(environment.runner, MasterRunner)
    _at_work.update(worker.id for worker in environment.runner.clients.all)
    environment.runner.stop()
    with gevent.Timeout(_SECONDS, False):
        while _at_work:
            gevent.sleep(_PAUSE)


def _done(msg: Any, **_others: Any) -> None:
    _at_work.discard(msg.node_id)
