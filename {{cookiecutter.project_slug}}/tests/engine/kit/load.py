"""Runs a load test as `make loadtest` does, and reads what it has found."""

import asyncio
import csv
import sys
from pathlib import Path

from tests.engine.kit.commands import SECRET_KEY, plain_environment

ENOUGH = 120


class Run:
    """A load test that has ended, and what it left in its directory."""

    def __init__(self, reports: Path, code: int, output: str) -> None:
        self.code = code
        self.output = output
        self.reports = reports

    @property
    def breaches(self) -> list[str]:
        """One line for each level that was not kept."""
        return [line.removeprefix("breach: ") for line in self.output.splitlines() if line.startswith("breach: ")]

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.reports / f"run_{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def counts(self) -> dict[str, int]:
        """How often each measure was taken."""
        return {row["Name"]: int(row["Request Count"]) for row in self.rows("stats")}


async def load(directory: Path, scenario: str | Path, *options: str, **settings: str) -> Run:
    """Run a scenario, by its name or its file: `await load(tmp_path, "chat", "--host", service.http, …)`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests", str(scenario), *options),
        env=plain_environment(**{"LOADTEST_SECRET_KEY": SECRET_KEY} | settings),
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(ENOUGH):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode is not None
    return Run(directory / "build" / "loadtest" / Path(scenario).stem, process.returncode, output.decode())
