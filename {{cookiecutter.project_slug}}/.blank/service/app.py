"""The application: what is served, with which streams, on which settings."""

from pathlib import Path

from service.engine.application.application import Application
from service.settings import Settings

application = Application(
    settings=Settings,
    streams=[],
    endpoints=[],
    migrations=Path(__file__).parent / "migrations",
)

create_app = application.create
"""For servers that take a factory: `uvicorn --factory service.app:create_app`."""
