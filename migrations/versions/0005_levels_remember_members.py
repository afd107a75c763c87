"""A level remembers what the adapter showed that had seen its user.

Expand: a nullable column, and `nll` may be absent, which nobody reads any more. Rows that the previous release writes
lack the new figure and count as not made. A worker of that release cannot read rows without `nll`: let no old worker
run beside the new ones.

Revision: 0005_levels_remember_members
Revises: 0004_never_seen_levels
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_levels_remember_members"
down_revision = "0004_never_seen_levels"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("never_seen_levels") as levels:
        levels.add_column(sa.Column("seen_smoothed_nll", sa.Double(), nullable=True))
        levels.alter_column("nll", existing_type=sa.Double(), nullable=True)


def downgrade() -> None:
    # Rows of this release have no `nll`; the previous one makes its own.
    op.execute(sa.text("DELETE FROM never_seen_levels WHERE nll IS NULL"))
    with op.batch_alter_table("never_seen_levels") as levels:
        levels.alter_column("nll", existing_type=sa.Double(), nullable=False)
        levels.drop_column("seen_smoothed_nll")
