"""The Pythons that the template supports, and where one is found: on this machine, or in Debian's testing suite."""

import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from tests.bakery import ROOT
from tests.conftest import cannot_run
from tests.containers import TESTING, debian_mirrors

OLDEST, *BETWEEN, NEWEST = ["3.11", "3.12", "3.13", "3.14", "3.15"]
OF_DEBIAN = ["3.14", "3.15"]
HOME = ROOT / "build" / "pythons"


def interpreter(version: str) -> str:
    """The Python of this version that runs here; a version manager may leave commands that do not."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    python = f"python{version}"
    if shutil.which(python) and _makes_environments(python):
        return python
    if version not in OF_DEBIAN:
        cannot_run(f"Python {version} is missing: install it to test the project on it too")
    if not (shutil.which("mmdebstrap") and shutil.which("patchelf")):
        cannot_run(f"Python {version} is missing: install it, or what takes it from Debian: mmdebstrap patchelf")
    with FileLock(ROOT / "build" / "pythons.lock"):
        python = str(HOME / "usr" / "bin" / python)
        if not _makes_environments(python):
            _unpack()
    return python


def _makes_environments(python: str) -> bool:
    command = [python, "-c", "import ensurepip, venv"]
    return bool(shutil.which(python)) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _unpack() -> None:
    """Debian's packages in a directory, with all they need, the C library too: this machine's may be older."""
    shutil.rmtree(HOME, ignore_errors=True)
    packages = ",".join(f"python{version}-venv" for version in OF_DEBIAN)
    options = ["--variant=extract", *TESTING, f"--include={packages}"]
    command = ["mmdebstrap", *options, "testing", str(HOME), *debian_mirrors()]
    unpacked = subprocess.run(command, capture_output=True, text=True, check=False)
    if unpacked.returncode != 0:
        cannot_run(f"a Python of Debian's is missing: {unpacked.stderr.strip().rpartition(chr(10))[2]}")
    for version in OF_DEBIAN:
        _settle(HOME / "usr" / "bin" / f"python{version}")


def _settle(python: Path) -> None:
    """Have the interpreter look in its directory for what it would look for in the system's."""

    def patch(*options: str | Path) -> str:
        return subprocess.run(["patchelf", *options, python], check=True, capture_output=True, text=True).stdout

    (loader,) = HOME.glob(f"usr/lib/*/{Path(patch('--print-interpreter').strip()).name}")
    patch("--set-interpreter", loader, "--force-rpath", "--set-rpath", loader.parent)
    wheels = "/usr/share/python-wheels/"  # of pip, for virtual environments
    for values in HOME.glob(f"usr/lib/{python.name}/_sysconfigdata*.py"):
        values.write_text(values.read_text().replace(repr(wheels), repr(f"{HOME}{wheels}")))
