"""A level also stores the user's loss under the adapter that had seen the user.

Expand: a nullable column; `nll`, which is not read any more, becomes nullable. Rows of the previous release lack the
new figure and count as missing. An old worker cannot read rows without `nll`, so no old worker may run beside new ones.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_levels_remember_members"
down_revision = "0004_never_seen_levels"


def upgrade() -> None:
    with op.batch_alter_table("never_seen_levels") as levels:
        levels.add_column(sa.Column("seen_smoothed_nll", sa.Double(), nullable=True))
        levels.alter_column("nll", existing_type=sa.Double(), nullable=True)


def downgrade() -> None:
    # Rows of this release have no `nll`; the previous release makes new ones.
    op.execute(sa.text("DELETE FROM never_seen_levels WHERE nll IS NULL"))
    with op.batch_alter_table("never_seen_levels") as levels:
        levels.alter_column("nll", existing_type=sa.Double(), nullable=False)
        levels.drop_column("seen_smoothed_nll")
