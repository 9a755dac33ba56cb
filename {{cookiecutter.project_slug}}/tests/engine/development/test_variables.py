"""What other tools leave in a shell is no business of ours, or is named in one line; it is never a traceback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.development.conftest import StartRun
from tests.engine.development.developer import Run
from tests.engine.kit.commands import PROJECT, SECRET_KEY, Commands, plain_environment
from tests.engine.kit.http_client import http_request
from tests.engine.kit.postgres import Address, Database

OF_OTHER_TOOLS = {
    "COLUMNS": "0",
    "FORCE_COLOR": "1",
    "FORWARDED_ALLOW_IPS": "",
    "GUNICORN_CMD_ARGS": "--bind 0.0.0.0:1 --workers nine --nonsense",
    "GUNICORN_FD": "x",
    "GUNICORN_PID": "x",
    "HOST": " ",
    "KEEP_ALIVE": "\t",
    "LINES": "many",
    "LISTEN_FDS": "x",
    "LISTEN_PID": "y",
    "NOTIFY_SOCKET": "",
    "NO_COLOR": "1",
    "PROMETHEUS_MULTIPROC_DIR": "/nonexistent",
    "SENDFILE": "perhaps",
    "SSL_CERT_FILE": "/nonexistent",
    "TERM": "",
    "TMPDIR": "/nonexistent",
    "TZ": "Nowhere/Atall",
    "UVICORN_PORT": "http",
    "UVICORN_WORKERS": "many",
    "VIRTUAL_ENV": "/nonexistent",
    "WEB_CONCURRENCY": "",
    "XDG_RUNTIME_DIR": "/nonexistent",
    "http_proxy": "http://127.0.0.1:9",
    "prometheus_multiproc_dir": "/nonexistent",
}
PYTHONS = {
    "warnings are errors": {"PYTHONWARNINGS": "error"},
    "no assertions and no docstrings": {"PYTHONOPTIMIZE": "2"},
    "development mode": {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1"},
    "ASCII": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
}
REFUSED = [
    ("WEB_CONCURRENCY", "auto"),
    ("PORT", "tcp://10.0.0.1:80"),  # as Kubernetes sets it for a service of that name
    ("PORT", "\udcff"),
    ("HOST", "x86_64-conda-linux-gnu"),
    ("HOST", "\udcff"),
    ("FORWARDED_ALLOW_IPS", "unix:"),
    ("FORWARDED_ALLOW_IPS", "10.0.0.0/8,localhost"),
    ("LOG_LEVEL", "warn"),
    ("LOG_FORMAT", "text"),
    ("KEEP_ALIVE", "60s"),
    ("ENVIRONMENT", "dev"),
]


@pytest.fixture(scope="module")
def shared(postgres: Address) -> Database:
    return postgres.create_database()


def measures(run: Run) -> None:
    """Its metrics are counted, and by nobody else's rules."""
    assert "websocket_connections" in http_request("GET", f"{run.http}/metrics").text


@pytest.mark.parametrize("processes", ["", "2", " 1 ", "1.0"])
def test_none_of_it_makes_a_difference(run: StartRun, shared: Database, processes: str) -> None:
    service = run(**OF_OTHER_TOOLS | {"WEB_CONCURRENCY": processes, "DATABASE_URL": shared.url}).serves()
    measures(service)
    assert len(service.workers()) == (2 if processes == "2" else 1)
    service.stop()


@pytest.mark.parametrize("variables", PYTHONS.values(), ids=PYTHONS)
def test_neither_does_what_is_told_to_python(
    run: StartRun, shared: Database, home: Path, variables: dict[str, str]
) -> None:
    service = run(cold=True, DATABASE_URL=shared.url, **variables).serves()
    measures(service)
    service.stop()
    assert "Warning" not in service.output, service.output


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=ascii)
def test_a_value_that_cannot_be_ours_is_named(run: StartRun, home: Path, name: str, value: str) -> None:
    line = run(**{name: value}).refusal()
    assert line.startswith("python -m tests.engine.application: error: ")
    assert name in line
    assert not (home / ".local" / "postgres").exists()


@pytest.mark.parametrize("allowed", ["*", "::1, 10.0.0.0/8", " 127.0.0.1 ", ","])
def test_any_way_to_name_proxies_will_do(run: StartRun, shared: Database, allowed: str) -> None:
    run(FORWARDED_ALLOW_IPS=allowed, DATABASE_URL=shared.url).serves().stop()


def test_a_document_is_written_in_any_locale(commands: Commands) -> None:
    printed = commands.run_cold("asyncapi", **PYTHONS["ASCII"])
    assert (printed.returncode, printed.stderr) == (0, "")
    assert json.loads(printed.stdout) == json.loads(commands.run("asyncapi").stdout)


def test_a_reader_who_has_seen_enough_is_no_error(commands: Commands) -> None:
    read = subprocess.run(
        ["sh", "-c", f'"$0" -m {commands.module} asyncapi | head -1', sys.executable],
        env=plain_environment(SECRET_KEY=SECRET_KEY),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (read.stdout, read.stderr) == ("{\n", "")


MAKE_FILES = ("Makefile", "tests/requirements.txt")
STAND_IN = """#!/bin/sh
# Makes an environment whose python and uv write down how they were called. Pip knows of the index in its variable;
# uv fails where there is no network.
case "$*" in
*"-m venv"*)
    mkdir -p .venv/bin
    cat >.venv/bin/python <<'PYTHON'
#!/bin/sh
env >called-python
echo "$*" >>calls
case "$*" in *"config list") test -z "$PIP_INDEX_URL" || echo ":env:.index-url='$PIP_INDEX_URL'" ;; esac
PYTHON
    cat >.venv/bin/uv <<'UV'
#!/bin/sh
env >called-uv
test -z "$UV_OFFLINE"
UV
    chmod +x .venv/bin/python .venv/bin/uv ;;
esac
"""
ELSEWHERE = {
    "PIP_USER": "1",
    "PIP_TARGET": "/elsewhere",
    "PIP_PREFIX": "/elsewhere",
    "PIP_ROOT": "/elsewhere",
    "PIP_PYTHON": "/usr/bin/python3",
    "PIP_DRY_RUN": "1",
    "PIP_CONSTRAINT": "/elsewhere/constraints.txt",
    "PIP_NO_BINARY": ":all:",
    "PYTHONHOME": "/elsewhere",
    "PYTHONPATH": "/elsewhere",
    "PYTHONSAFEPATH": "1",
    "PYTHONWARNINGS": "error",
    "UV_CONSTRAINT": "/elsewhere/constraints.txt",
    "UV_EXCLUDE_NEWER": "2020-01-01",
    "UV_PYTHON": "/usr/bin/python3",
    "UV_SYSTEM_PYTHON": "1",
}


@pytest.fixture
def set_up(tmp_path: Path) -> Callable[..., None]:
    """Runs `make setup` in a project's directory, with stand-ins for what it calls, and with these variables."""

    def run(**variables: str) -> None:
        for name in MAKE_FILES:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(PROJECT / name, tmp_path / name)
        python = tmp_path / "stand-in"
        python.write_text(STAND_IN)
        python.chmod(0o755)
        command = ["make", "setup", f"PYTHON={python}"]
        environment = {"PATH": os.environ["PATH"], **variables}
        made = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr

    return run


def variables_of(call: Path) -> dict[str, str]:
    """What was in the environment of a stand-in."""
    return dict(line.split("=", 1) for line in call.read_text().splitlines() if "=" in line)


@pytest.mark.needs("make")
def test_packages_are_installed_where_the_project_is_whatever_pip_and_uv_were_told(
    set_up: Callable[..., None], tmp_path: Path
) -> None:
    kept = {"PIP_CERT": "/etc/ssl/company.pem", "UV_DEFAULT_INDEX": "https://packages.example.com/index"}
    set_up(**ELSEWHERE, **kept)
    for program in ("python", "uv"):
        called = variables_of(tmp_path / f"called-{program}")
        assert called["PIP_USER"] == "0", "a file of pip's may say so too, and this counts more"
        assert {name for name in ELSEWHERE if called.get(name)} == {"PIP_USER"}
        assert called.items() >= kept.items()
    assert (tmp_path / "calls").read_text().endswith(" --requirement .venv/uv.txt\n"), "the rest is uv's to install"


@pytest.mark.needs("make")
@pytest.mark.parametrize(
    "variables",
    [{"PIP_INDEX_URL": "https://packages.example.com/index"}, {"UV_OFFLINE": "1"}],
    ids=["told", "uv fails"],
)
def test_where_pip_is_told_of_an_index_or_uv_fails_pip_installs(
    set_up: Callable[..., None], tmp_path: Path, variables: dict[str, str]
) -> None:
    set_up(**variables)
    assert (tmp_path / "calls").read_text().endswith(" install --require-hashes --requirement tests/requirements.txt\n")
    assert variables_of(tmp_path / "called-python").items() >= variables.items()
    assert (tmp_path / "called-uv").exists() == ("UV_OFFLINE" in variables)
