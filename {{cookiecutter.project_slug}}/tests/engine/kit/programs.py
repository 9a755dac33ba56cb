"""The programs that some tests need: where they are, and how to get one that is missing."""

import os
import shutil

import pytest

INSTALL = {name: f"apt-get install {name}" for name in ("caddy", "chromium", "haproxy", "nginx", "npm", "pgbouncer")}
ALIASES = {
    "chromium": ("chromium-browser", "google-chrome", "google-chrome-stable"),
    "haproxy": ("/usr/sbin/haproxy",),
    "nginx": ("/usr/sbin/nginx",),
    "pgbouncer": ("/usr/sbin/pgbouncer",),
}


def find_program(name: str) -> str | None:
    """Where a program is, under any of its names."""
    return next((found for alias in (name, *ALIASES.get(name, ())) if (found := shutil.which(alias))), None)


def require(name: str) -> None:
    """Leave a test out, named at the end of the run, if a program is missing; with `ALL=1` it fails."""
    if not find_program(name):
        reason = f"{name} is missing: {INSTALL.get(name, 'install it')}"
        pytest.fail(reason, pytrace=False) if os.environ.get("ALL") == "1" else pytest.skip(reason)
