"""Processes are replaced while clients write and read: nothing may be lost, nobody stay away."""

import logging
import subprocess
from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.scenarios.live_comments import Reader, Writer
from loadtests.users import options_of

__all__ = ["Reader", "Writer"]

_AFTER = 1 / 3
"""Of the run's time."""
_logger = logging.getLogger(__name__)


@events.test_start.add_listener
def deploy_later(environment: Environment, **_others: Any) -> None:
    """Start the deployment when the clients are at work."""
    if not isinstance(environment.runner, WorkerRunner):
        gevent.spawn_later(_AFTER * (options_of(environment).run_time or 30), _deploy, options_of(environment).deploy)


def _deploy(command: str) -> None:
    if command:
        _logger.info("deploying: %s", command)
        subprocess.run(command, shell=True, check=True)  # the command of whoever runs this
    else:
        _logger.info("deploy now: there is no --deploy COMMAND to do it")
