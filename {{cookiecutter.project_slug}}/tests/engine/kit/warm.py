"""Processes of the service that start in a fifth of the time, as forks of one that has libraries and engine imported.

Of an application that one has read nothing: every fork imports it anew, as `python -m` does.
"""

import gc
import multiprocessing
import os
import runpy
import sys
import threading
import warnings
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import ModuleType

# Not prometheus_client, which asks the environment how to count when it is imported.
LIBRARIES = [
    "alembic.command",
    "fastapi.staticfiles",
    "fastapi_offline",
    "gunicorn.app.base",
    "jwt",
    "psycopg",
    "pydantic.v1",
    "pydantic_settings",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.dialects.postgresql.psycopg",
    "structlog",
    "uvicorn_worker",
    "uvloop",
    "valkey.asyncio",
    "websockets",
]
ENGINE = [
    "service.engine.application.migrate",
    "service.engine.application.preparing",
    "service.engine.application.server",
    "service.engine.application.welcome",
]
_PROJECT = Path(__file__).resolve().parents[3]
_starting = threading.Lock()


class WarmProcess:
    """One running command, with the part of `subprocess.Popen` that the tests need."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float) -> int:
        """Raises: TimeoutError."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self.pid} is still running after {timeout} s")
        return self._process.exitcode


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LIBRARIES, *ENGINE])
    return context


def prepare() -> None:
    """Begin to import what is to be there, and do not wait for it."""
    _context()
    forkserver.ensure_running()


def start(
    module: str,
    *arguments: str,
    environment: dict[str, str],
    directory: Path,
    output: Path,
    errors: Path | None = None,
) -> WarmProcess:
    """Run `python -m module arguments` in `directory`, with this environment.

    What it writes goes to the file `output`; what it writes to its standard error, to `errors` where that is given.
    """
    process = _context().Process(target=_run, args=(module, arguments, environment, directory, output, errors))
    with _starting:
        tests, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")  # a fork need not import them
        try:
            process.start()
        finally:
            sys.modules["__main__"] = tests
    return WarmProcess(process)


def _run(
    module: str,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    directory: Path,
    output: Path,
    errors: Path | None,
) -> None:
    gc.freeze()  # what is imported already stays: a collection would look at all of it, and so copy its pages
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(_written(output), 1)
    os.dup2(_written(errors) if errors else 1, 2)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    if environment["PYTHONPATH"] != str(_PROJECT):
        _forget_service()
    sys.argv = [module, *arguments]
    warnings.simplefilter("error")  # as in the tests themselves
    warnings.simplefilter("ignore", ResourceWarning)  # uvloop's, while it closes: where one is raised, it does not end
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _forget_service() -> None:
    """Another one may stand where this process looks."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "service"]:
        del sys.modules[name]


def _written(file: Path) -> int:
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
