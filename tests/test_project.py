"""A generated project passes its own tests, on the oldest Python and on the newest; without the example its lint, too.

That of a project with the example is in its workflow: `test_workflows.py`.
"""

import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bakery import bake
from tests.making import free_port, make, record_missing, running, wait_for
from tests.pythons import NEWEST, OLDEST, interpreter

# What JavaScript makes of the service's answers does not depend on the Python that gives them: one does for these.
WITHOUT_CLIENTS = "PYTEST_ADDOPTS=--ignore-glob=*/test_javascript_*"
WITHOUT_PAGE = "PYTEST_ADDOPTS=--ignore-glob=*/test_page*"

pytestmark = [pytest.mark.needs("git"), pytest.mark.needs("make"), pytest.mark.timeout(1500)]


def test_a_fresh_project_passes_its_own_tests_on_the_oldest_python(
    template: Path, place: Path, record_property: Callable[[str, object], None]
) -> None:
    project = bake(template, place)
    python, port, log = interpreter(OLDEST), free_port(), place / "run.log"
    with running(project, "run", log, PORT=str(port), PYTHON=python) as served:
        wait_for("Listening at", log, served)
        make(project, "setup", f"PYTHON={python}")  # adds what tests need to what runs
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=30) as page:
            assert page.status == 200
    record_missing(make(project, "test") + make(project, "test-engine"), record_property)


def test_a_project_without_the_example_is_green_at_once_on_the_newest_python_and_shows_its_endpoints(
    template: Path, place: Path, record_property: Callable[[str, object], None]
) -> None:
    project = bake(template, place, example="none")
    make(project, "setup", f"PYTHON={interpreter(NEWEST)}")
    make(project, "lint")
    record_missing(make(project, "test") + make(project, "test-engine", WITHOUT_CLIENTS), record_property)
    port, log = free_port(), place / "run.log"
    with running(project, "run", log, PORT=str(port)) as served:
        wait_for(rf"Page +http://[\w.]+:{port}/", log, served)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert b"endpoints.js" in page.read()
        make(project, "loadtest", "SCENARIO=idle", "USERS=20", "TIME=5s", f"URL=http://127.0.0.1:{port}")
    full = bake(template, place / "full")
    arguments = ("--assume-old=setup", "test", f"bin={project}/.venv/bin", WITHOUT_PAGE)
    record_missing(make(full, *arguments), record_property)
