"""Every event's row says by the same name which connection it came from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("comments", "connection_id", new_column_name="origin")
    op.add_column("notifications", sa.Column("origin", sa.String(32)))


def downgrade() -> None:
    op.drop_column("notifications", "origin")
    op.alter_column("comments", "origin", new_column_name="connection_id")
