"""What the dashboard shows of the past: notes of runs, latencies by the hour; and sessions that only look.

Expand: two tables, and a column with a default. The previous release neither reads nor writes them; a session that it
begins may do what its key may.

Revision: 0025_dashboard_history
Revises: 0024_verification
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025_dashboard_history"
down_revision = "0024_verification"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_notes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_run_notes"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_notes_run_id_runs"),
    )
    op.create_index("ix_run_notes_run_id", "run_notes", ["run_id"])
    op.create_index("ix_run_notes_noted_at", "run_notes", ["noted_at"])
    op.create_table(
        "latency_hours",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replica_id", sa.String(64), nullable=False),
        sa.Column("what", sa.String(20), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "replica_id", "what", name="pk_latency_hours"),
    )
    op.add_column(
        "dashboard_sessions",
        sa.Column("looks_only", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    op.drop_column("dashboard_sessions", "looks_only")
    op.drop_table("latency_hours")
    op.drop_index("ix_run_notes_noted_at", "run_notes")
    op.drop_index("ix_run_notes_run_id", "run_notes")
    op.drop_table("run_notes")
