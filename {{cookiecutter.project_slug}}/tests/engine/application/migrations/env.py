"""Alembic's entry."""

from service.engine.application.migrate import run_migrations
from tests.engine.application.app import application

run_migrations(application)
