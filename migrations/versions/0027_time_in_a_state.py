"""Since when a request is in its state, and whether it was told that it has stayed too long.

Expand: columns that may be null, and an index. What is there already, and what the previous release accepts while it
still serves, has no time: the next sweep of a worker lets it count from then. The audit log knows when the state
changed, but names requests inside its entries, so a look-up would read all of it. The time is that of the state
`since_status`: what the previous release moves on meanwhile has none in its new state.

Revision: 0027_time_in_a_state
Revises: 0026_outside_engines
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027_time_in_a_state"
down_revision = "0026_outside_engines"
branch_labels = None
depends_on = None

_COLUMNS = ("status_since", "since_status", "stalled_at")
_INDEX = "ix_forget_requests_dwell"


def upgrade() -> None:
    for name in _COLUMNS:
        type_ = sa.String(20) if name == "since_status" else sa.DateTime(timezone=True)
        op.add_column("forget_requests", sa.Column(name, type_, nullable=True))
    op.create_index(_INDEX, "forget_requests", ["status", "status_since"])


def downgrade() -> None:
    op.drop_index(_INDEX, table_name="forget_requests")
    for name in reversed(_COLUMNS):
        op.drop_column("forget_requests", name)
