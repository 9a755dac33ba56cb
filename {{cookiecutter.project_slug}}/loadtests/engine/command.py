"""The command: `python -m loadtests SCENARIO [--shape SHAPE] [options of Locust]` runs Locust and draws the chart."""

import argparse
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from loadtests.engine.deployment import serving
from loadtests.engine.scenario import NoScenarioError, Scenario, find, levels_in, names

HERE = Path(__file__).parent
REPORTS = Path("build", "loadtest")
DEFAULT_HOST = "http://127.0.0.1:8000"


def main() -> int:
    """Run a scenario; the exit code is Locust's: not 0 when a level was not kept."""
    os.environ["no_proxy"] = ",".join(filter(None, [os.environ.get("no_proxy"), "localhost,127.0.0.1,::1"]))
    parser = _parser()
    arguments, rest = parser.parse_known_args()
    if arguments.serve and arguments.host:
        parser.error("argument --host: the service that --serve starts has an address of its own")
    scenario: Scenario = arguments.scenario
    levels: Path | None = arguments.levels or scenario.levels
    try:
        levels_in(levels)
    except (OSError, ValueError) as error:
        parser.error(f"{levels}: {error}")
    reports = REPORTS / scenario.name
    options = ["--scenario", scenario.name, "--levels", str(levels or ""), *rest]
    with ExitStack() as stack:
        if not arguments.worker:
            shutil.rmtree(reports, ignore_errors=True)
            reports.mkdir(parents=True)
            options += ["--html", str(reports / "report.html"), "--csv", str(reports / "run"), "--csv-full-history"]
            options += ["--breaches", str(reports / "breaches.txt")]
            module = arguments.serve or ("service" if scenario.name == "deploy" and arguments.host is None else None)
            if module:
                host, command = stack.enter_context(serving(module, reports))
                options += ["--host", host, "--deploy", command]
            else:
                options += ["--host", arguments.host or DEFAULT_HOST]
        else:
            options += ["--worker"]
        code = _locust(scenario, arguments.shape, options)
    if not arguments.worker:
        if (reports / "report.html").exists():
            _draw(reports, scenario.name, levels)
        if (breaches := reports / "breaches.txt").exists():  # last, where they are seen
            print(breaches.read_text("utf-8"), end="", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests",
        description="Play clients against a running service.",
        epilog="Options that are not listed here go to Locust: --users, --run-time, --processes, --master, --headful …",
    )
    parser.add_argument("scenario", type=_scenario, help=f"{', '.join(names())}, or a file")
    parser.add_argument("--shape", choices=_shapes(), help="how the number of users changes (not at all)")
    parser.add_argument("--host", help=f"the service ({DEFAULT_HOST}; deploy: one of its own)")
    parser.add_argument("--levels", type=Path, metavar="FILE", help="levels to keep instead of the scenario's")
    parser.add_argument(
        "--serve",
        nargs="?",
        const="service",
        metavar="MODULE",
        help="start a service of the run's own (service), and replace its processes after a third of the time",
    )
    parser.add_argument("--worker", action="store_true", help="work for the master at --master-host")
    return parser


def _scenario(text: str) -> Scenario:
    try:
        return find(text)
    except NoScenarioError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _shapes() -> list[str]:
    return sorted(path.stem for path in (HERE / "shapes").glob("[!_]*.py"))


def _locust(scenario: Scenario, shape: str | None, options: list[str]) -> int:
    files = [HERE / "locustfile.py", scenario.file]
    if shape is not None:
        files.append(HERE / "shapes" / f"{shape}.py")
    command = [sys.executable, "-m", "locust", "--config", str(HERE / "locust.conf")]
    process = subprocess.Popen([*command, "--locustfile", ",".join(map(str, files)), *options])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # Locust has got it too, and comes to an end
            continue


def _draw(reports: Path, name: str, levels: Path | None) -> None:
    from loadtests.engine.chart import draw  # noqa: PLC0415 - not needed, and slow, until here

    if picture := draw(reports, name, levels):
        print(f"report {reports / 'report.html'}, chart {picture}", file=sys.stderr)
