"""Sessions of the dashboard, and the indexes that its pages read by.

Expand: a table and indexes. The previous release neither reads nor writes the table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019_dashboard_sessions"
down_revision = "0017_telling"


def upgrade() -> None:
    op.create_table(
        "dashboard_sessions",
        sa.Column("token_digest", sa.String(64), nullable=False),
        sa.Column("key_digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_digest", name="pk_dashboard_sessions"),
        sa.ForeignKeyConstraint(
            ["key_digest"], ["api_keys.key_digest"], name="fk_dashboard_sessions_key_digest_api_keys"
        ),
    )
    op.create_index("ix_dashboard_sessions_key_digest", "dashboard_sessions", ["key_digest"])
    op.create_index("ix_dashboard_sessions_ends_at", "dashboard_sessions", ["ends_at"])
    op.create_index("ix_forget_requests_due", "forget_requests", ["due_at", "epoch"])
    op.create_index("ix_audit_entries_recorded_at", "audit_entries", ["recorded_at"])


def downgrade() -> None:
    op.drop_index("ix_audit_entries_recorded_at", "audit_entries")
    op.drop_index("ix_forget_requests_due", "forget_requests")
    op.drop_table("dashboard_sessions")
