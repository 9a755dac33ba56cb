"""Streams, tickets and revocations.

Before the engine had a branch of its own, a project's first revisions made these tables: such a database is taken
along, and its streams are named anew, `rooms/7` for `rooms:7`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "streams",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        postgresql_with={"fillfactor": 50},
        if_not_exists=True,
    )
    op.alter_column("streams", "name", type_=sa.Text)
    op.execute(r"""
        UPDATE streams SET name = replace(split_part(name, ':', 1), '%', '%25') || '/'
            || replace(replace(substr(name, strpos(name, ':') + 1), '%', '%25'), '/', '%2F')
        WHERE name ~ '^[a-z_-]+:'
    """)
    op.create_table(
        "tickets",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_tickets_valid_until", "tickets", ["valid_until"], if_not_exists=True)
    op.add_column("tickets", sa.Column("claims", sa.Text))
    op.create_table(
        "revocations",
        sa.Column("user_id", sa.String(255), primary_key=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_revocations_revoked_at", "revocations", ["revoked_at"], if_not_exists=True)
    op.create_table(
        "applied_revisions",
        sa.Column("branch", sa.Text, primary_key=True),
        sa.Column("revision", sa.Text, primary_key=True),
    )


def downgrade() -> None:
    op.drop_table("applied_revisions")
    op.drop_table("revocations")
    op.drop_table("tickets")
    op.drop_table("streams")
