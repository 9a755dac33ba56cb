"""Images without Docker: buildah builds them, podman runs them, and Debian stands in for the base image.

Everything lives in build/containers, apart from the images that this machine keeps; a second run finds the base there.
"""

import json
import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path

from tests.bakery import ROOT

BASE = "docker.io/library/python:3.14-slim"
HOME = ROOT / "build" / "containers"
PACKAGES = "ca-certificates,passwd,python3,python3-pip,python3-venv"
# A mirror may be a snapshot, and then the suite that moves says that its time is over.
TESTING = ['--aptopt=Acquire::Check-Valid-Until "false"']
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{home}/storage"
runroot = "{home}/run"

[storage.options.overlay]
skip_mount_home = "true"
"""


def run(*command: str | Path, timeout: float = 600, check: bool = True) -> subprocess.CompletedProcess[str]:
    settings = {
        "CONTAINERS_CONF": str(HOME / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(HOME / "storage.conf"),
        "BUILDAH_LAYERS": "true",
    }
    result = subprocess.run(
        [*map(str, command)],
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert not check or result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


def podman(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run("podman", *arguments, check=check)


def build(project: Path, image: str) -> None:
    """Build the project's Dockerfile on the stand-in, which cannot have the digest of the real base."""
    make_base()
    text = (project / "Dockerfile").read_text()
    assert len(re.findall(rf"FROM {re.escape(BASE)}@sha256:[0-9a-f]{{64}}", text)) == 2
    dockerfile = HOME / "Dockerfile"
    dockerfile.write_text(re.sub(r"@sha256:[0-9a-f]{64}", "", text))
    options = ["--pull=never", "--isolation", "chroot", "--format", "docker", "--layers"]
    run("buildah", "bud", *options, "--file", dockerfile, "--tag", image, project)


def make_base() -> None:
    """Debian with Python 3.14, under the name of the base image, unless it is there already."""
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME / "containers.conf").write_text(CONFIGURATION)
    (HOME / "storage.conf").write_text(STORAGE.format(home=HOME))
    if podman("image", "exists", BASE, check=False).returncode == 0:
        return
    root, archive = HOME / "root", HOME / "base.tar"
    shutil.rmtree(root, ignore_errors=True)
    run("mmdebstrap", "--variant=apt", *TESTING, f"--include={PACKAGES}", "testing", root, *debian_mirrors())
    (root / "usr" / "local" / "bin" / "python").symlink_to("/usr/bin/python3.14")
    # As this machine trusts: whatever its way to the package index is.
    bundle = Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
    shutil.copy(bundle, root / "etc" / "ssl" / "certs" / "ca-certificates.crt")
    run("tar", "--create", "--directory", root, "--file", archive, ".")
    shutil.rmtree(root)
    certificates = "/etc/ssl/certs/ca-certificates.crt"
    changes = [f"ENV {name}={certificates}" for name in ("PIP_CERT", "SSL_CERT_FILE")]
    changes.append("ENV PIP_BREAK_SYSTEM_PACKAGES=1")
    podman("import", *(part for change in changes for part in ("--change", change)), archive, BASE)
    archive.unlink()


def debian_mirrors() -> list[str]:
    """Where this machine gets Debian from; nowhere in particular, when it is no Debian."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.findall(r"^\S+/debian/?$", listing, re.MULTILINE)[:1]


def megabytes(image: str) -> int:
    size: int = json.loads(podman("image", "inspect", image).stdout)[0]["Size"]
    return round(size / 1_000_000)
