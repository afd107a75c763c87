"""Which engine outside its process a replica computes with: it outlives the process, and may still hold a version.

Expand: a column that may be null. The previous release neither reads nor writes it; the gateways that it runs count as
computing in their own process.

Revision: 0026_outside_engines
Revises: 0025_dashboard_history
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026_outside_engines"
down_revision = "0025_dashboard_history"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("replicas", sa.Column("outside_engine", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("replicas", "outside_engine")
