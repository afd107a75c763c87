"""What a user gave an item, beside the event: pointwise prompt styles learn whether somebody liked it.

Expand: a column that may be empty. The previous release neither reads nor writes it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_ratings"
down_revision = "0013_runs_read"


def upgrade() -> None:
    op.add_column("interactions", sa.Column("rating", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("interactions", "rating")
