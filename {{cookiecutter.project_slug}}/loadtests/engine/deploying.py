"""A deployment in the middle of a run: the command of `--deploy`, whatever the scenario."""

import subprocess
import sys
from time import monotonic
from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.engine.measures import Measures
from loadtests.engine.users import options_of

_AFTER = 1 / 3
"""Of the run's time."""


@events.test_start.add_listener
def deploy_later(environment: Environment, **_others: Any) -> None:
    """Start the deployment when the clients are at work."""
    options = options_of(environment)
    wanted = options.deploy or options.scenario == "deploy"
    if wanted and not isinstance(environment.runner, WorkerRunner):
        gevent.spawn_later(_AFTER * (options.run_time or 30), _deploy, environment)


def _deploy(environment: Environment) -> None:
    command = options_of(environment).deploy
    if not command:
        print("deploy now: there is no --deploy COMMAND to do it", file=sys.stderr)
        return
    print(f"deploying: {command}", file=sys.stderr)
    measures = Measures(environment, "deploy")
    started = monotonic()
    code = subprocess.run(command, shell=True, check=False).returncode  # the command of whoever runs this
    if code == 0:
        measures.took("command", monotonic() - started)
    else:
        measures.failed("command", f"ended with {code}", monotonic() - started)
