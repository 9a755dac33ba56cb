"""Alembic's entry for the engine's branch; `python -m service migrate` hands it a connection."""

from alembic import context

from service.engine.storage.tables import EngineModel

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=EngineModel.metadata,
    version_table="engine_version",
)
with context.begin_transaction():
    context.run_migrations()
