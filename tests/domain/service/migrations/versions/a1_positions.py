"""Positions of vehicles."""

import sqlalchemy as sa
from alembic import op

revision = "a1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "positions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.String(32)),
        sa.Column("vehicle", sa.BigInteger, nullable=False),
        sa.Column("driver", sa.String(255), nullable=False),
        sa.Column("metre", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.UniqueConstraint("vehicle", "seq"),
    )
