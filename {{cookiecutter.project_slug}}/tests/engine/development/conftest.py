"""A developer's directory, and what is run in it."""

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.development.developer import Run, servers_in
from tests.engine.kit import warm

StartRun = Callable[..., Run]


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory. Not pytest's, to which nobody else may come, PostgreSQL's own account included."""
    directory = Path(tempfile.mkdtemp(prefix="developer-")).resolve()
    yield directory
    for server in servers_in(directory):
        server.send_signal(signal.SIGQUIT)
        server.wait(10)
    shutil.rmtree(directory)


@pytest.fixture
def run(home: Path) -> Iterator[StartRun]:
    """`run(PORT="8001")`: start the service in the directory, or in another."""
    warm.prepare()
    running: list[Run] = []

    def start(directory: Path = home, *, cold: bool = False, **variables: str) -> Run:
        running.append(Run(directory, cold=cold, **variables))
        return running[-1]

    yield start
    for each in running:
        each.discard()
