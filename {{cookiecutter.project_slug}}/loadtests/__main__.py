"""The command: `python -m loadtests SCENARIO [--shape SHAPE] [options of Locust]` runs Locust and draws the chart."""

import argparse
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).parent
REPORTS = Path("build", "loadtest")
DEFAULT_HOST = "http://127.0.0.1:8000"


def main() -> int:
    """Run a scenario; the exit code is Locust's: not 0 when a level was not kept."""
    arguments, rest = _parser().parse_known_args()
    reports = REPORTS / arguments.scenario
    options = ["--scenario", arguments.scenario, *rest]
    with ExitStack() as stack:
        if not arguments.worker:
            shutil.rmtree(reports, ignore_errors=True)
            reports.mkdir(parents=True)
            options += ["--html", str(reports / "report.html"), "--csv", str(reports / "run"), "--csv-full-history"]
            if arguments.scenario == "deploy" and arguments.host is None:
                from loadtests.deployment import serving  # noqa: PLC0415 - elsewhere there may be no service to start

                host, command = stack.enter_context(serving(reports))
                options += ["--host", host, "--deploy", command]
            else:
                options += ["--host", arguments.host or DEFAULT_HOST]
        else:
            options += ["--worker"]
        code = _locust(arguments.scenario, arguments.shape, options)
    if (reports / "report.html").exists() and not arguments.worker:
        _draw(reports, arguments.scenario)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests",
        description="Play clients against a running service.",
        epilog="Options that are not listed here go to Locust: --users, --run-time, --processes, --master, --headful …",
    )
    parser.add_argument("scenario", choices=_names("scenarios"))
    parser.add_argument("--shape", choices=_names("shapes"), help="how the number of users changes (not at all)")
    parser.add_argument("--host", help=f"the service ({DEFAULT_HOST}; deploy: one of its own)")
    parser.add_argument("--worker", action="store_true", help="work for the master at --master-host")
    return parser


def _names(directory: str) -> list[str]:
    return sorted(path.stem for path in (HERE / directory).glob("[!_]*.py"))


def _locust(scenario: str, shape: str | None, options: list[str]) -> int:
    files = [HERE / "locustfile.py", HERE / "scenarios" / f"{scenario}.py"]
    if shape is not None:
        files.append(HERE / "shapes" / f"{shape}.py")
    command = [sys.executable, "-m", "locust", "--config", str(HERE / "locust.conf")]
    process = subprocess.Popen([*command, "--locustfile", ",".join(map(str, files)), *options])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # Locust has got it too, and comes to an end
            continue


def _draw(reports: Path, scenario: str) -> None:
    from loadtests.chart import draw  # noqa: PLC0415 - not needed, and slow, until here

    if picture := draw(reports, scenario):
        print(f"report {reports / 'report.html'}, chart {picture}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
