"""Runs the Autobahn test suite, and uvicorn's and Daphne's own, against the generated service; writes RESULTS.md.

Exits with 1 if a case fails, or is not strict, for no reason that we know.

Autobahn's suite is Python 2.7 code, so it gets a virtual environment of its own, made by the last virtualenv that can.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from contextlib import suppress
from datetime import date
from importlib.metadata import version
from pathlib import Path
from time import monotonic, sleep

import daphne_suite
import uvicorn_suite
from peer_suite import BUILD, HERE, PROJECT

PORT = 9002
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
NOT_STRICT = {
    "6.4": "a text is found not to be UTF-8 once its message is whole, not while it comes (RFC 6455 §8.1 sets no time)"
}
"""What is not done as the suite would like best, though it may be done so: by the beginning of the cases' numbers."""
SUITE, VIRTUALENV = "autobahntestsuite==25.10.1", "virtualenv==20.21.1"


def installed_suite() -> Path:
    """The suite's program, installed if it is not yet."""
    program = BUILD / "python2" / "bin" / "wstest"
    if not program.exists():
        python2 = os.environ.get("PYTHON2") or shutil.which("python2.7")
        if python2 is None:
            sys.exit("The Autobahn test suite needs Python 2.7: name one by PYTHON2=/path/to/python2.7")
        maker = BUILD / "virtualenv"
        run(sys.executable, "-m", "venv", maker)
        run(maker / "bin" / "pip", "install", "--quiet", VIRTUALENV)
        run(maker / "bin" / "virtualenv", "--quiet", "--python", python2, BUILD / "python2")
        run(BUILD / "python2" / "bin" / "pip", "install", "--quiet", SUITE)
    return program


def run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), check=True)


def test(program: Path) -> dict[str, dict[str, str]]:
    """Each case's verdicts, from a service of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {
            "PYTHONPATH": str(PROJECT), "HOST": "127.0.0.1", "PORT": str(PORT), "LOG_LEVEL": "ERROR",
            "MAX_MESSAGE_BYTES": "33554432", "MAX_OUTBOX_BYTES": "67108864", "RATE_LIMIT": "0", "DRAIN_SECONDS": "0",
        }  # fmt: skip
        specification = Path(scratch, "fuzzingclient.json")
        specification.write_text(
            json.dumps(
                {
                    "outdir": str(BUILD / "reports"),
                    "servers": [{"agent": "service", "url": f"ws://127.0.0.1:{PORT}"}],
                    "cases": CASES,
                    "exclude-cases": [],
                    "exclude-agent-cases": {},
                }
            )
        )
        service = subprocess.Popen([sys.executable, HERE / "echo.py"], cwd=scratch, env=environment)
        try:
            wait_until_healthy()
            run(program, "--mode", "fuzzingclient", "--spec", specification)
        finally:
            service.terminate()
            service.wait(30)
    verdicts: dict[str, dict[str, str]] = json.loads((BUILD / "reports" / "index.json").read_text())["service"]
    return verdicts


def wait_until_healthy() -> None:
    deadline = monotonic() + 30
    while True:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=1):
            return
        if monotonic() > deadline:
            sys.exit("the service does not start")
        sleep(0.2)


def report(verdicts: dict[str, dict[str, str]]) -> set[str]:
    """Write RESULTS.md; returns the cases that failed, or are not strict, for no reason that we know."""
    suites = [suite.section(suite.outcomes()) for suite in (uvicorn_suite.SUITE, daphne_suite.SUITE)]
    counted = Counter(verdict["behavior"] for verdict in verdicts.values())
    failed = {
        case
        for case, verdict in verdicts.items()
        if "FAILED" in (verdict["behavior"], verdict["behaviorClose"]) or verdict["behavior"] == "UNIMPLEMENTED"
    }
    not_strict = {case for case, verdict in verdicts.items() if verdict["behavior"] == "NON-STRICT"}
    known = {case: NOT_STRICT[case.rpartition(".")[0]] for case in not_strict if case.rpartition(".")[0] in NOT_STRICT}
    lines = [
        "# WebSocket conformance",
        "",
        f"Autobahn test suite 25.10.1, cases {', '.join(case[:-2] for case in CASES)}, {date.today().isoformat()}.",
        f"uvicorn {version('uvicorn')}, websockets {version('websockets')}. `make conformance` runs it again.",
        "",
        "| verdict | cases |",
        "| --- | --- |",
        *(f"| {verdict} | {count} |" for verdict, count in sorted(counted.items())),
        "",
        *(f"- {case} is not strict: {known.get(case, 'new')}" for case in sorted(not_strict)),
        *(f"- {case} fails" for case in sorted(failed)),
        "",
    ]
    for section, _ in suites:
        lines += [*section, ""]
    (HERE / "RESULTS.md").write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))
    unexpected = {test for _, tests in suites for test in tests}
    return failed | (not_strict - known.keys()) | unexpected


if __name__ == "__main__":
    sys.exit(1 if report(test(installed_suite())) else 0)
