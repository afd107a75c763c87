"""Which worker is making levels, and the readings of the parts that are done.

Expand: two new tables, which the previous release does not use. An old worker would not delete a reading together with
its subject's events, so no old worker may run beside new ones.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_level_makings"
down_revision = "0009_track_record"


def upgrade() -> None:
    op.create_table(
        "level_makings",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=False),
        sa.Column("smoothing", sa.Double(), nullable=False),
        sa.Column("maker", sa.String(length=32), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scheme", sa.String(length=32), nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("parts", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_level_makings_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_level_makings")),
    )
    op.create_table(
        "part_readings",
        sa.Column("subject_hmac", sa.String(length=64), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("member", sa.Boolean(), nullable=False),
        sa.Column("smoothed_nll", sa.Double(), nullable=False),
        sa.Column("validation_nll", sa.Double(), nullable=False),
        sa.Column("test_nll", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("subject_hmac", "part", name=op.f("pk_part_readings")),
    )


def downgrade() -> None:
    op.drop_table("part_readings")
    op.drop_table("level_makings")
