"""What is done to a database before anybody is served: its schema is brought up to date, and in development seeded."""

import asyncio
from collections.abc import Callable
from time import monotonic, sleep

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from service.engine.application.application import Application
from service.engine.application.migrate import MigrationError, migrate
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.settings import Settings

_RETRY_SECONDS = 2.0
_SAY_SECONDS = 30.0


class PreparationError(Exception):
    """The database cannot be brought up to date. The message is one line."""


def bring_up_to_date(application: Application, settings: Settings) -> list[str]:
    """Migrate, and return what there is to say of it.

    Raises:
        PreparationError: It is away, or cannot work.
    """
    try:
        return migrate(application, settings)
    except (SQLAlchemyError, psycopg.Error, MigrationError) as error:
        why = str(getattr(error, "orig", None) or error).strip().splitlines()
        raise PreparationError(why[0] if why else type(error).__name__) from None


class Preparation:
    """The database of a developer, which may be away for now: `say` is told in plain words how it is."""

    def __init__(self, application: Application, settings: Settings, say: Callable[[str], None]) -> None:
        self._application = application
        self._settings = settings
        self._say = say
        self._said_at = float("-inf")

    def succeeds(self) -> bool:
        """Try once."""
        try:
            remarks = bring_up_to_date(self._application, self._settings)
            asyncio.run(self._seed())
        except PreparationError as error:
            self._complain(f"the database of DATABASE_URL cannot be used: {error}")
            return False
        except Unavailable:
            self._complain("the database of DATABASE_URL has gone away again")
            return False
        for remark in remarks:
            self._say(remark)
        return True

    def go_on(self) -> None:
        """Try until it succeeds."""
        sleep(_RETRY_SECONDS)
        while not self.succeeds():
            sleep(_RETRY_SECONDS)
        self._say("the database is there, and up to date")

    def _complain(self, text: str) -> None:
        """Say it at once, and then now and then."""
        if monotonic() - self._said_at >= _SAY_SECONDS:
            self._said_at = monotonic()
            self._say(f"{text} (trying again until it can)")

    async def _seed(self) -> None:
        if self._application.seed is not None:
            async with self._application.opened(self._settings, observed=False) as (streams, database):
                await self._application.seed(streams, database)
