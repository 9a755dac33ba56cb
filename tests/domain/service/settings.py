"""Settings of our own."""

from service.engine.foundation.settings import Settings as EngineSettings


class Settings(EngineSettings):
    """What an operator can set."""

    fastest: float = 90.0
