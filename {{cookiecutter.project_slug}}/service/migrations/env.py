"""Alembic's entry, for `python -m service migrate` and for the command line (`alembic revision --autogenerate`)."""

from service.app import application
from service.engine.application.migrate import run_migrations

run_migrations(application)
