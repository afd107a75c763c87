"""Requests that select some of a person's events.

Expand: a table, and columns that may be empty or have a default. The previous release sees hidden events: it must not
serve beside this one once somebody has selected events.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021_selections"
down_revision = "0020_request_pages"

_LIVE = "status NOT IN ('completed', 'cancelled', 'denied')"


def upgrade() -> None:
    op.add_column("forget_requests", sa.Column("scope", sa.String(20), nullable=False, server_default="user"))
    op.add_column("forget_requests", sa.Column("selected_events", sa.BigInteger(), nullable=True))
    _index_of_live_requests(f"{_LIVE} AND scope = 'user'")
    op.create_table(
        "event_selections",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column(
            "request_id", sa.String(40), sa.ForeignKey("forget_requests.id"), nullable=False, unique=True
        ),
        sa.Column("subject_hmac", sa.String(64), nullable=False),
        sa.Column("criteria", sa.JSON(), nullable=False),
        sa.Column("lifted_epoch", sa.BigInteger(), nullable=True, unique=True),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_because", sa.String(20), nullable=True),
    )
    op.create_index("ix_event_selections_subject_hmac", "event_selections", ["subject_hmac"])
    op.add_column("interactions", sa.Column("selected_epoch", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_interactions_selected",
        "interactions",
        ["selected_epoch"],
        sqlite_where=sa.text("selected_epoch IS NOT NULL"),
        postgresql_where=sa.text("selected_epoch IS NOT NULL"),
    )


def downgrade() -> None:
    """
    Raises:
        RuntimeError: events were selected. The previous release would show them again.
    """
    selected = sa.text("SELECT count(*) FROM event_selections WHERE lifted_epoch IS NULL")
    if op.get_bind().execute(selected).scalar_one():
        raise RuntimeError("events were selected, and the previous release knows no such thing")
    op.drop_index("ix_interactions_selected", table_name="interactions")
    op.drop_column("interactions", "selected_epoch")
    op.drop_table("event_selections")
    _index_of_live_requests(_LIVE)
    op.drop_column("forget_requests", "selected_events")
    op.drop_column("forget_requests", "scope")


def _index_of_live_requests(live: str) -> None:
    op.drop_index("uq_forget_requests_live", table_name="forget_requests")
    op.create_index(
        "uq_forget_requests_live",
        "forget_requests",
        ["subject_hmac"],
        unique=True,
        sqlite_where=sa.text(live),
        postgresql_where=sa.text(live),
    )
