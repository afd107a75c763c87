"""How often outages of the surroundings interrupted a run, so that its next worker knows how long to pause.

Expand: a column with the default 0, which the previous release does not change.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_outages"
down_revision = "0007_timeline"


def upgrade() -> None:
    op.add_column("runs", sa.Column("outages", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("runs", "outages")
