"""Who follows which stream where.

Unlogged: it is of now, costs no WAL, and processes say it again where a crash or a failover has emptied it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "presence_versions",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "presence",
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("user_id", sa.String(255), primary_key=True),
        sa.Column("process", sa.String(32), primary_key=True),
        prefixes=["UNLOGGED"],
    )
    op.create_index("ix_presence_process", "presence", ["process"])
    op.create_table(
        "presence_processes",
        sa.Column("process", sa.String(32), primary_key=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    op.drop_table("presence_processes")
    op.drop_table("presence")
    op.drop_table("presence_versions")
