"""What others are told: public events.

Expand: new tables, and a column of the ledger with a default. The previous release writes no events.

Revision: 0017_telling
Revises: 0021_selections
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017_telling"
down_revision = "0021_selections"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger", sa.Column("event_sequence", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "public_events",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=True),
        sa.Column("client_reference", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=True),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_public_events")),
    )
    op.create_index("ix_public_events_recorded_at", "public_events", ["recorded_at"])


def downgrade() -> None:
    op.drop_table("public_events")
    op.drop_column("ledger", "event_sequence")
