"""Settings of your own, next to the engine's: each field is the environment variable of the same name in upper case."""

from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from service.engine.endpoints.parameters import settings_of
from service.engine.foundation.settings import Settings as EngineSettings


class Settings(EngineSettings):
    """What an operator can set."""


async def _settings(connection: HTTPConnection) -> Settings:
    return settings_of(connection, Settings)


CurrentSettings = Annotated[Settings, Depends(_settings)]
"""The settings, as a parameter of an endpoint."""
