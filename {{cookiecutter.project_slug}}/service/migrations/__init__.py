"""The schema's history, and the way to bring a database up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from service.development import development_settings
from service.settings import Settings

_LOCK = 0x6C697665
"""The advisory lock that keeps two migrations of one database apart (any number, the same everywhere)."""


@contextmanager
def connect(settings: Settings | None = None) -> Iterator[Connection]:
    """A connection to `DATABASE_URL`, which in development may be the embedded server's."""
    with development_settings(settings) as complete:
        assert complete.database_url is not None
        url = complete.database_url.get_secret_value()
        engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5})
        with engine.connect() as connection:
            yield connection


def migrate(settings: Settings) -> None:
    """Bring the schema up to date. Safe to run twice, and by several processes at once."""
    config = Config(attributes={"configure_logger": False})
    config.set_main_option("script_location", str(Path(__file__).parent))
    with connect(settings) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        try:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()
