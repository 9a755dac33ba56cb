"""Runs `python -m service …` as an operator would, away from the developer's own settings and `.env`."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from tests.engine.kit import warm

PROJECT = Path(__file__).resolve().parents[3]
SECRET_KEY = "a key that only these tests sign with and long enough for any HMAC algorithm"
KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONDONTWRITEBYTECODE", "TMPDIR", "USER", "VIRTUAL_ENV")


def plain_environment(**settings: str) -> dict[str, str]:
    """The variables of a child process: the few that every program needs, and the given settings."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"PYTHONPATH": str(PROJECT)} | settings


class Commands:
    """The commands of one application: `commands.run("token", "--user", "7", SECRET_KEY="…")`."""

    def __init__(self, module: str) -> None:
        self.module = module

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one to its end, in an empty directory: in a process of its own, which has the libraries already."""
        with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as written:
            out, err = Path(written, "out"), Path(written, "err")
            environment = plain_environment(**settings)
            process = warm.start(
                self.module, *arguments, environment=environment, directory=Path(empty), output=out, errors=err
            )
            try:
                status = process.wait(30)
            except TimeoutError:
                process.kill()
                raise
            return subprocess.CompletedProcess(arguments, status, out.read_text(), err.read_text())

    def run_cold(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """The same, by a Python of its own from its first moment to its last, for what happens there."""
        with tempfile.TemporaryDirectory() as empty:
            return subprocess.run(
                [sys.executable, "-W", "error", "-m", self.module, *arguments],
                env=plain_environment(**settings),
                cwd=empty,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )

    def run_here(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """The same in this very process: in a twentieth of the time, for tables of commands that are refused early."""
        out, err = io.StringIO(), io.StringIO()
        with (
            tempfile.TemporaryDirectory() as empty,
            contextlib.chdir(empty),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.dict(os.environ, plain_environment(**settings), clear=True),
            mock.patch.object(sys, "argv", [self.module, *arguments]),
        ):
            try:
                runpy.run_module(self.module, run_name="__main__")
                status = 0
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())
