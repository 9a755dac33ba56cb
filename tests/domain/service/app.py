"""The application: vehicles, and where they are."""

from pathlib import Path

from service.endpoints import vehicles
from service.engine.application.application import Application
from service.settings import Settings
from service.vehicles import POSITIONS

application = Application(
    settings=Settings,
    streams=[POSITIONS],
    endpoints=[vehicles.router],
    migrations=Path(__file__).parent / "migrations",
)

create_app = application.create
