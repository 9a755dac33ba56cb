"""Alembic's entry: `python -m service migrate` hands it a connection, the `alembic` command line makes its own."""

from alembic import context
from sqlalchemy import Connection

from service.migrations import connect
from service.models import Model


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Model.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with connect() as connection:
        run(connection)
