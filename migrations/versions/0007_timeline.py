"""The timeline of the store that a database belongs to, which distinguishes a restored database from the current one.

Expand: a column, empty until the first process of this release starts a timeline.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_timeline"
down_revision = "0006_readership"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("timeline", sa.String(32)))


def downgrade() -> None:
    op.drop_column("ledger", "timeline")
