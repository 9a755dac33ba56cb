"""What every run has, whatever the scenario: options, the check of the target, progress, and the gate at the end."""

import secrets
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import gevent
from locust import events, stats
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

import loadtests.finish  # noqa: F401 - listens to Locust's events
from loadtests.gate import LEVELS, breaches, levels_of
from loadtests.target import objection
from loadtests.tokens import NoTokensError, identities
from loadtests.users import options_of

_RUN_NUMBERS = 10**11
_PROGRESS_SECONDS = 5


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """The options that Locust has not; a master hands them to its workers."""
    parser.add_argument("--scenario", default="", include_in_web_ui=False, help="whose levels have to be kept")
    parser.add_argument("--levels", default=str(LEVELS), include_in_web_ui=False, help="the file of levels")
    parser.add_argument("--force", action="store_true", include_in_web_ui=False, help="load whatever --host names")
    parser.add_argument(
        "--deploy", default="", include_in_web_ui=False, help="the command that deploys (scenario deploy)"
    )
    parser.add_argument(
        "--run-number",
        type=int,
        default=secrets.randbelow(_RUN_NUMBERS),
        include_in_web_ui=False,
        help="posts and users of this run have numbers of their own, made of this one",
    )


@events.init.add_listener
def begin(environment: Environment, **_others: Any) -> None:
    """Refuse in one line what cannot or must not run, and show how it goes."""
    gevent.sleep(0)  # the clock of its loop, by which the run's time is measured, stood still while modules were loaded
    options = options_of(environment)
    if isinstance(environment.runner, WorkerRunner):  # its users refuse what its master should have
        return
    if not options.headless:  # and here they refuse what is asked for in the web UI
        print(f"open http://{options.web_host}:{options.web_port}", file=sys.stderr)
        return
    if not options.force and (problem := objection(environment.host)):
        sys.exit(f"loadtest: {problem}")
    try:
        identities(environment.host or "", 0)
    except NoTokensError as error:
        sys.exit(f"loadtest: {error}")
    gevent.spawn(_show_progress, environment)


@events.quitting.add_listener
def judge(environment: Environment, **_others: Any) -> None:
    """Say which levels were not kept; the exit code says whether there are any."""
    options = options_of(environment)
    if isinstance(environment.runner, WorkerRunner):
        return
    _let_csv_files_be_written()
    found = list(breaches(environment, levels_of(options.scenario, Path(options.levels))))
    for breach in found:
        print(f"breach: {breach}", file=sys.stderr)
    environment.process_exit_code = 1 if found else 0


def _let_csv_files_be_written() -> None:
    """Have the last lines written, and none when the files are closed: Locust's writer does not know of the end."""
    interval, stats.CSV_STATS_INTERVAL_SEC = stats.CSV_STATS_INTERVAL_SEC, 3600
    gevent.sleep(1.5 * interval)


def _show_progress(environment: Environment) -> None:
    started = monotonic()
    while True:
        gevent.sleep(_PROGRESS_SECONDS)
        assert environment.runner is not None
        total = environment.stats.total
        print(
            f"{monotonic() - started:5.0f} s  {environment.runner.user_count:6} users"
            f"  {total.current_rps:8.1f} measures/s  {total.num_failures:6} failures",
            file=sys.stderr,
        )
