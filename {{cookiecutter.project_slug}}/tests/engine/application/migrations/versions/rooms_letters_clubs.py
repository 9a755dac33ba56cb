"""Rooms, letters and clubs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

big = sa.BigInteger
time = sa.DateTime(timezone=True)


def event_columns() -> list[sa.Column[object]]:
    """Those of each table that keeps events."""
    return [
        sa.Column("id", big, sa.Identity(always=True), primary_key=True),
        sa.Column("seq", big, nullable=False),
        sa.Column("origin", sa.String(32)),
        sa.Column("created_at", time, server_default=sa.func.now(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "entries",
        *event_columns(),
        sa.Column("room_id", big, nullable=False),
        sa.Column("author_id", sa.String(255), nullable=False),
        sa.Column("client_id", sa.String(128)),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("room_id", "seq"),
        sa.UniqueConstraint("room_id", "author_id", "client_id"),
    )
    op.create_table(
        "letters",
        *event_columns(),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("data", postgresql.JSON, nullable=False),
        sa.Column("read_at", time),
        sa.UniqueConstraint("user_id", "seq"),
    )
    op.create_table(
        "announcements",
        *event_columns(),
        sa.Column("club_id", big, nullable=False),
        sa.Column("client_id", sa.String(128)),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("price", sa.Numeric),
        sa.UniqueConstraint("club_id", "seq"),
        sa.UniqueConstraint("club_id", "client_id"),
    )
    op.create_table(
        "members",
        sa.Column("club_id", big, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.String(255), primary_key=True),
    )
    op.create_table(
        "purchases",
        sa.Column("id", big, sa.Identity(always=True), primary_key=True),
        sa.Column("club_id", big, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for table in ("purchases", "members", "announcements", "letters", "entries"):
        op.drop_table(table)
