"""The rung of each attempt, and the rungs that a run skipped.

Expand: two nullable columns, which the previous release leaves empty, and a new table, which it does not use.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_track_record"
down_revision = "0008_outages"

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("attempts", sa.Column("rung_digest", sa.String(length=64), nullable=True))
    op.add_column("attempts", sa.Column("watermark", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_attempts_rung_digest"), "attempts", ["rung_digest"])
    op.create_table(
        "skipped_rungs",
        sa.Column("id", _BIG_ID, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("requests", sa.JSON(), nullable=False),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("rung_digest", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("skipped_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_skipped_rungs_run_id_runs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_skipped_rungs")),
    )
    op.create_index(op.f("ix_skipped_rungs_run_id"), "skipped_rungs", ["run_id"])
    op.create_index(op.f("ix_skipped_rungs_rung_digest"), "skipped_rungs", ["rung_digest"])


def downgrade() -> None:
    op.drop_table("skipped_rungs")
    op.drop_index(op.f("ix_attempts_rung_digest"), table_name="attempts")
    op.drop_column("attempts", "watermark")
    op.drop_column("attempts", "rung_digest")
