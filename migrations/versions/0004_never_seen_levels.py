"""Levels: the users' losses under models that never saw them.

Expand: a new table, which the previous release does not use. An old worker would not delete a row together with its
subject's events, so no old worker may run beside new ones.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_never_seen_levels"
down_revision = "0003_consolidation"


def upgrade() -> None:
    op.create_table(
        "never_seen_levels",
        sa.Column("subject_hmac", sa.String(length=64), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=False),
        sa.Column("smoothing", sa.Double(), nullable=False),
        sa.Column("nll", sa.Double(), nullable=False),
        sa.Column("smoothed_nll", sa.Double(), nullable=False),
        sa.Column("deviation", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject_hmac", name=op.f("pk_never_seen_levels")),
    )


def downgrade() -> None:
    op.drop_table("never_seen_levels")
