"""End users' requests that wait for their verification, and an index for claims.

Expand: columns that may be empty, an index of open requests that leaves out those that wait, and one more index. The
previous release does not know their state, so let no policy ask for a verification before it is gone.

Revision: 0024_verification
Revises: 0023_item_takedowns
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024_verification"
down_revision = "0023_item_takedowns"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("verify_until", sa.DateTime(timezone=True)),
    ("asked_selection", sa.JSON()),
    ("subject_commitment", sa.String(64)),
)
_URGENT = "ix_forget_requests_urgent"
_OVER = "'completed', 'cancelled', 'denied'"


def upgrade() -> None:
    for name, kind in _COLUMNS:
        op.add_column("forget_requests", sa.Column(name, kind, nullable=True))
    op.create_index(_URGENT, "forget_requests", ["status", "scope", "expedited", "due_at", "epoch"])
    _index_of_live_requests(f"status NOT IN ('pending_verification', {_OVER}) AND scope = 'user'")


def downgrade() -> None:
    """Take the columns away.

    Raises:
        RuntimeError: a request was never verified. The previous release would take it for one with a suppression.
    """
    never = sa.text("SELECT count(*) FROM forget_requests WHERE verify_until IS NOT NULL")
    if op.get_bind().execute(never).scalar_one():
        raise RuntimeError("requests were not verified, and the previous release knows no such thing")
    _index_of_live_requests(f"status NOT IN ({_OVER}) AND scope = 'user'")
    op.drop_index(_URGENT, table_name="forget_requests")
    for name, _ in reversed(_COLUMNS):
        op.drop_column("forget_requests", name)


def _index_of_live_requests(which: str) -> None:
    op.drop_index("uq_forget_requests_live", table_name="forget_requests")
    op.create_index(
        "uq_forget_requests_live",
        "forget_requests",
        ["subject_hmac"],
        unique=True,
        sqlite_where=sa.text(which),
        postgresql_where=sa.text(which),
    )
