"""The application: what is served, with which streams, on which settings."""

from pathlib import Path

from service.engine.application.application import Application
from tests.engine.application.clubs import CLUBS
from tests.engine.application.endpoints import clubs, faulty, guests, letters, modules, profile, rooms
from tests.engine.application.letters import LETTERS
from tests.engine.application.rooms import ROOMS
from tests.engine.application.settings import Settings

application = Application(
    settings=Settings,
    streams=[ROOMS, LETTERS, CLUBS],
    endpoints=[module.router for module in (rooms, letters, clubs, profile, faulty, guests, modules)],
    migrations=Path(__file__).parent / "migrations",
    demo_path="/ws/rooms/1",
    demo_scopes=["letters:write"],
)

create_app = application.create
