"""Which timeline of the store a database is: a restored one is told from the one that was worked with.

Expand: a column, empty until the first process of this release starts a timeline.

Revision: 0007_timeline
Revises: 0006_readership
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_timeline"
down_revision = "0006_readership"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger", sa.Column("timeline", sa.String(32)))


def downgrade() -> None:
    op.drop_column("ledger", "timeline")
