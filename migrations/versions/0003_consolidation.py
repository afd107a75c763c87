"""Consolidation: kinds of runs, one queued run per kind, and the attenuation behind a version.

Expand: columns with defaults, and a unique index that allows more than the one before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_consolidation"
down_revision = "0002_split_runs"


def upgrade() -> None:
    op.add_column("runs", sa.Column("kind", sa.String(length=20), server_default="forget", nullable=False))
    op.add_column("runs", sa.Column("reason", sa.String(length=20), nullable=True))
    op.add_column("runs", sa.Column("yields_until", sa.DateTime(timezone=True), nullable=True))
    _index_queued_runs_by("kind")
    op.add_column("versions", sa.Column("exact", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("versions", sa.Column("subjects", sa.Integer(), server_default="0", nullable=False))
    op.add_column("versions", sa.Column("utility_change", sa.Double(), nullable=True))
    op.execute(
        sa.text("UPDATE versions SET exact = :yes WHERE method IN ('fit', 'refit', 'sharded')").bindparams(
            yes=True
        )
    )
    op.execute(
        "UPDATE versions SET subjects = "
        "(SELECT count(*) FROM forget_requests WHERE forget_requests.run_id = versions.run_id)"
    )
    op.add_column("ledger", sa.Column("consolidation_budget", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("ledger", "consolidation_budget")
    op.drop_column("versions", "utility_change")
    op.drop_column("versions", "subjects")
    op.drop_column("versions", "exact")
    # The previous release has one kind of run: it would treat these as forget runs without a request.
    op.execute("DELETE FROM runs WHERE kind = 'consolidation' AND status = 'queued'")
    op.execute(
        "UPDATE runs SET status = 'needs_attention' WHERE kind = 'consolidation' AND status = 'running'"
    )
    _index_queued_runs_by("status")
    op.drop_column("runs", "yields_until")
    op.drop_column("runs", "reason")
    op.drop_column("runs", "kind")


def _index_queued_runs_by(column: str) -> None:
    waiting = sa.text("status = 'queued'")
    op.drop_index("uq_runs_queued", table_name="runs", sqlite_where=waiting, postgresql_where=waiting)
    op.create_index(
        "uq_runs_queued", "runs", [column], unique=True, sqlite_where=waiting, postgresql_where=waiting
    )
