"""Requests that start at a later rung, and several attempts of one rung in one run.

Expand. The previous release works on the new schema. It leaves first_step at its default and writes attempts without
number and requests (null does not duplicate null). It tries each rung once, so it does not need the old constraint.
On PostgreSQL no statement rewrites a table. The new constraint indexes `attempts`, which only the worker writes, with
a few rows per run. SQLite copies `attempts`, because it cannot change a constraint in place.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_split_runs"
down_revision = "0001_create_tables"

OLD, NEW = "uq_attempts_run_id_fence_step", "uq_attempts_run_id_fence_number"


def upgrade() -> None:
    op.add_column(
        "forget_requests", sa.Column("first_step", sa.Integer(), server_default="0", nullable=False)
    )
    with op.batch_alter_table("attempts") as attempts:
        attempts.add_column(sa.Column("number", sa.Integer(), nullable=True))
        attempts.add_column(sa.Column("requests", sa.JSON(), nullable=True))
        attempts.add_column(sa.Column("search", sa.JSON(), nullable=True))
        attempts.drop_constraint(OLD, type_="unique")
        attempts.create_unique_constraint(NEW, ["run_id", "fence", "number"])


def downgrade() -> None:
    # Keep the first attempt of each rung: the previous release makes one per rung, and its constraint allows one.
    op.execute(
        "DELETE FROM attempts WHERE id NOT IN (SELECT MIN(id) FROM attempts GROUP BY run_id, fence, step)"
    )
    with op.batch_alter_table("attempts") as attempts:
        attempts.drop_constraint(NEW, type_="unique")
        attempts.create_unique_constraint(OLD, ["run_id", "fence", "step"])
        attempts.drop_column("search")
        attempts.drop_column("requests")
        attempts.drop_column("number")
    op.drop_column("forget_requests", "first_step")
