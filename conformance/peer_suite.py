"""Runs the tests that another server has published of itself against the engine's classes."""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
PROJECT = next(HERE.parent.glob("*cookiecutter.project_slug*"))
BUILD = HERE.parent / "build" / "conformance"
TOOLS = [
    "httpx2==2.16.2", "hypothesis==6.170.17", "pytest==9.2.0", "pytest-mock==3.17.0", "pytest-timeout==2.4.0",
    "trustme==1.2.1", "wsproto==1.3.2",
]  # fmt: skip
_OUTCOMES = ("passed", "failed", "skipped")


@dataclass(frozen=True, kw_only=True)
class PeerSuite:
    """The tests of a package, and why what they expect is not always what the engine does.

    - `folder`: where the tests are in its source distribution; they are run from there.
    - `conftest`: the file beside this one that puts the engine in the place of what they test.
    - `seconds`: how long a test may take.
    - `differences`: reasons by the beginnings of the tests' names, first match first. No reason: it is to pass.
    """

    package: str
    version: str
    folder: str
    files: Sequence[str]
    conftest: str
    seconds: int
    differences: Mapping[str, str]

    def outcomes(self) -> dict[str, str]:
        """Each test's outcome: passed, skipped or failed."""
        python, tests = _environment(), self._sources() / self.folder
        (tests / "conftest.py").write_text((HERE / self.conftest).read_text())
        results, settings = BUILD / f"{self.package}.xml", BUILD / "pytest.ini"
        settings.write_text("[pytest]\n")
        results.unlink(missing_ok=True)
        options = ["-q", "--tb=no", "--show-capture=no", "-p", "no:cacheprovider", f"--timeout={self.seconds}"]
        paths = os.pathsep.join(map(str, (PROJECT, self._sources(), tests)))
        with tempfile.TemporaryDirectory() as scratch:
            command: list[str | Path] = [python, "-m", "pytest", *options, "-c", settings]
            command += ["--rootdir", self._sources(), "--junitxml", results]
            command += [tests / f"{name}.py" for name in self.files]
            environment = os.environ | {"PYTHONPATH": paths, "TMPDIR": scratch}
            subprocess.run(command, cwd=self._sources(), env=environment, check=False)
        found: dict[str, str] = {}
        for case in ElementTree.parse(results).iter("testcase"):  # noqa: S314 - our own
            name, outcome = _name(case), _outcome(case)
            found[name] = "failed" if "failed" in (outcome, found.get(name)) else outcome  # subtests have its name
        return found

    def section(self, tests: Mapping[str, str]) -> tuple[list[str], set[str]]:
        """Lines of RESULTS.md, and the tests that fail for no reason that we know."""
        failed = sorted(name for name, outcome in tests.items() if outcome == "failed")
        lines = [
            f"## The tests of {self.package} {self.version}",
            "",
            "| file | passed | failed | skipped |",
            "| --- | --- | --- | --- |",
            *(f"| {name}.py | {' | '.join(map(str, self._counts(name, tests)))} |" for name in self.files),
            "",
            "| test that fails | reason |",
            "| --- | --- |",
            *(f"| {name} | {self._reason(name) or 'new'} |" for name in failed),
        ]
        return lines, {name for name in failed if not self._reason(name)}

    @staticmethod
    def _counts(file: str, tests: Mapping[str, str]) -> list[int]:
        outcomes = [outcome for test, outcome in tests.items() if test.startswith(f"{file}::")]
        return [outcomes.count(outcome) for outcome in _OUTCOMES]

    def _reason(self, name: str) -> str:
        return next((reason for beginning, reason in self.differences.items() if name.startswith(beginning)), "")

    def _sources(self) -> Path:
        """The source distribution, which alone has the tests."""
        name = f"{self.package}-{self.version}"
        if not (BUILD / name).exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", self.package]
            subprocess.run([*pip, "--dest", BUILD, name.replace("-", "==")], check=True)
            with tarfile.open(BUILD / f"{name}.tar.gz") as archive:
                archive.extractall(BUILD, filter="data")
        return BUILD / name


def _environment() -> Path:
    """A Python that has the service's dependencies, and the tests'."""
    home = BUILD / "peers"
    python, tools = home / "bin" / "python", home / "tools.txt"
    if not tools.exists() or tools.read_text().split() != TOOLS:
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", PROJECT / "service" / "requirements.txt"], check=True)
        subprocess.run([*pip, *TOOLS], check=True)
        tools.write_text("\n".join(TOOLS))
    return python


def _name(case: ElementTree.Element) -> str:
    module = re.findall(r"\btest_\w+", case.attrib["classname"])[-1]
    return f"{module}::{case.attrib['name']}"


def _outcome(case: ElementTree.Element) -> str:
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in kinds else "passed"
