"""The application: what is served, with which streams, on which settings."""

from pathlib import Path

from service.comments import COMMENTS
from service.endpoints import comments, live_comments, notifications
from service.engine.application.application import Application
from service.notifications import NOTIFICATIONS
from service.settings import Settings

_HERE = Path(__file__).parent

application = Application(
    settings=Settings,
    streams=[COMMENTS, NOTIFICATIONS],
    endpoints=[live_comments.router, notifications.router, comments.router],
    migrations=_HERE / "migrations",
    page=_HERE / "web",
    demo_path="/ws/live-comments/1",
    demo_scopes=["notifications:write"],
)

create_app = application.create
"""For servers that take a factory: `uvicorn --factory service.app:create_app`."""
