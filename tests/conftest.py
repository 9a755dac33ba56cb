"""Fixtures of the template's tests, and the list of what this machine could not test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.bakery import bake, copy_template
from tests.following import begin, follow

pytest_plugins = ["tests.site"]

INSTALL = {
    "buildah": "apt-get install buildah",
    "checkov": "make checkov",
    "git": "apt-get install git",
    "make": "apt-get install make",
    "mmdebstrap": "apt-get install mmdebstrap",
    "podman": "apt-get install podman",
    "runc": "apt-get install runc",
    "terraform": "see https://developer.hashicorp.com/terraform/install",
}

# What takes minutes starts first; the rest fills the gaps.
LONGEST = [
    *("test_project.py", "test_cloud.py", "test_demo.py", "test_workflows.py", "test_timing.py", "test_deploy.py"),
    *("test_image.py", "test_production.py", "test_secrets.py", "test_applying.py", "test_publishing.py"),
    *("test_locks.py", "test_infra.py", "test_guides.py", "test_recipes.py", "test_update.py"),
]


def pytest_configure(config: pytest.Config) -> None:
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # projects that tests share stay as they were baked
    config.addinivalue_line("markers", "needs(program): the test runs only where this program is installed")


class ByFile(LoadFileScheduling):
    """Tests of a file share something costly, and run one after the other; lives of clouds wait, and demos download."""

    def _split_scope(self, nodeid: str) -> str:
        is_alone = "test_the_life_of_an_environment" in nodeid or "test_demo.py" in nodeid
        return nodeid if is_alone else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for program in (marker.args[0] for marker in item.iter_markers("needs")):
        if not shutil.which(program):
            cannot_run(f"{program} is missing: {INSTALL[program]}")


def cannot_run(reason: str) -> NoReturn:
    """Leave out a test that this machine cannot run, in no case silently."""
    if os.environ.get("ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was measured, name every group that was not tested, and the command that changes that."""
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])]
    properties = [pair for report in terminalreporter.stats.get("passed", []) for pair in report.user_properties]
    reasons += [str(value) for name, value in properties if name == "not tested in the project"]
    if measured := [str(value) for name, value in properties if name == "measured"]:
        terminalreporter.section("measured")
    for line in measured:
        terminalreporter.line(line)
    if reasons:
        terminalreporter.section("not tested on this machine")
    for reason in sorted(set(reasons)):
        terminalreporter.line(f"{reasons.count(reason)} tests: {reason}")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for a project with a database: where every pytest that starts locks other users out is none."""
    with TemporaryDirectory(prefix="project-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of the template, as a clone would give it."""
    return copy_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with every default answer. Read it, do not write to it."""
    return bake(template, tmp_path_factory.mktemp("default"))


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository of the template, free to be changed."""
    repository = copy_template(tmp_path / "upstream")
    begin(repository)
    return repository


@pytest.fixture
def followed(upstream: Path, place: Path) -> Path:
    """A project made by cruft and committed."""
    return follow(upstream, place / "projects")
