"""Requests of one status in the order of their deadlines, page by page: the queue's index also has the epoch.

Expand: the previous release uses the new index like the old one.
"""

from __future__ import annotations

from alembic import op

revision = "0020_request_pages"
down_revision = "0018_access"


def upgrade() -> None:
    op.create_index("ix_forget_requests_pages", "forget_requests", ["status", "due_at", "epoch"])
    op.create_index("ix_forget_requests_client_reference", "forget_requests", ["client_reference"])
    op.drop_index("ix_forget_requests_queue", table_name="forget_requests")


def downgrade() -> None:
    op.create_index("ix_forget_requests_queue", "forget_requests", ["status", "due_at"])
    op.drop_index("ix_forget_requests_client_reference", table_name="forget_requests")
    op.drop_index("ix_forget_requests_pages", table_name="forget_requests")
