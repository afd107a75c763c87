"""How often the surroundings have held a run up, so that whoever takes it up next knows how long to pause.

Expand: a column that starts at 0 and that the previous release leaves there.

Revision: 0008_outages
Revises: 0007_timeline
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_outages"
down_revision = "0007_timeline"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("outages", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("runs", "outages")
