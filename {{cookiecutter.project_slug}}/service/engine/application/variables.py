"""Variables that other tools leave behind, and that what is under us would read: nothing that nobody has checked."""

import os

from service.engine.foundation.settings import Settings

_OF_GUNICORN = "GUNICORN_"
_OF_POSTGRES = "PG"
_OF_LOCALES = ("LC_", "LANG")


def let_servers_read(settings: Settings) -> None:
    """Have gunicorn and uvicorn find what was checked: they read these on their own, some when they are imported."""
    _forget(_OF_GUNICORN)
    os.environ["WEB_CONCURRENCY"] = str(settings.web_concurrency)
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(settings.forwarded_allow_ips)


def forget_postgres() -> None:
    """Forget what libpq would add to every connection: it is meant for another server than our own."""
    _forget(_OF_POSTGRES)


def of_postgres() -> dict[str, str]:
    """The variables of PostgreSQL's own programs: a locale that is not installed would keep them from starting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith((_OF_POSTGRES, *_OF_LOCALES))}
    return kept | {"LC_ALL": "C"}


def _forget(prefix: str) -> None:
    for name in [name for name in os.environ if name.startswith(prefix)]:
        del os.environ[name]
