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
from locust.exception import StopTest
from locust.runners import WorkerRunner

import loadtests.engine.deploying
import loadtests.engine.finish  # noqa: F401 - both listen to Locust's events
from loadtests.engine.api import PreparationError
from loadtests.engine.gate import breaches
from loadtests.engine.places import RUN_NUMBERS
from loadtests.engine.preparation import prepare
from loadtests.engine.scenario import levels_in
from loadtests.engine.target import objection
from loadtests.engine.tokens import NoTokensError
from loadtests.engine.users import options_of

_PROGRESS_SECONDS = 5


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """The options that Locust has not; a master hands them to its workers."""
    parser.add_argument("--scenario", default="", include_in_web_ui=False, help="what is played")
    parser.add_argument("--levels", default="", include_in_web_ui=False, help="the file of levels that have to be kept")
    parser.add_argument("--breaches", default="", include_in_web_ui=False, help="the file for those that were not kept")
    parser.add_argument("--force", action="store_true", include_in_web_ui=False, help="load whatever --host names")
    parser.add_argument(
        "--deploy", default="", include_in_web_ui=False, help="the command that deploys, after a third of the time"
    )
    parser.add_argument(
        "--run-number",
        type=int,
        default=secrets.randbelow(RUN_NUMBERS),
        include_in_web_ui=False,
        help="what this run writes on has numbers of its own, made of this one",
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
    if obstacle := _obstacle(environment):
        sys.exit(f"loadtest: {obstacle}")
    gevent.spawn(_show_progress, environment)


@events.test_start.add_listener
def begin_again(environment: Environment, **_others: Any) -> None:
    """Prepare what is started in the web UI, as often as that happens.

    Raises:
        StopTest: What the scenario needs could not be prepared.
    """
    if options_of(environment).headless or isinstance(environment.runner, WorkerRunner):
        return
    if obstacle := _obstacle(environment):
        raise StopTest(obstacle)


@events.quitting.add_listener
def judge(environment: Environment, **_others: Any) -> None:
    """Write down which levels were not kept; the exit code says whether there are any."""
    options = options_of(environment)
    if isinstance(environment.runner, WorkerRunner):
        return
    _let_csv_files_be_written()
    found = list(breaches(environment, levels_in(Path(options.levels) if options.levels else None)))
    if options.breaches:
        Path(options.breaches).write_text("".join(f"breach: {breach}\n" for breach in found), encoding="utf-8")
    environment.process_exit_code = 1 if found else 0


def _obstacle(environment: Environment) -> str | None:
    """Why the run cannot or must not begin, in one line; otherwise all is prepared for it."""
    if not options_of(environment).force and (problem := objection(environment.host)):
        return problem
    try:
        prepare(environment)
    except (NoTokensError, PreparationError) as error:
        return str(error)
    return None


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
