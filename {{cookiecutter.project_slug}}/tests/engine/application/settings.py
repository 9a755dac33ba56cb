"""A setting of the application's own."""

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from pydantic import PositiveInt

from service.engine.endpoints.parameters import settings_of
from service.engine.foundation.settings import Settings as EngineSettings


class Settings(EngineSettings):
    """The engine's, and one more."""

    max_entry_length: PositiveInt = 4_000


async def _settings(connection: HTTPConnection) -> Settings:
    return settings_of(connection, Settings)


CurrentSettings = Annotated[Settings, Depends(_settings)]
