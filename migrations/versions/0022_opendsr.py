"""Requests that came by OpenDSR, and webhook endpoints that speak it.

Expand: a table, and a column with a default. The previous release neither reads nor writes them; an endpoint that it
registers has the default.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022_opendsr"
down_revision = "0019_dashboard_sessions"


def upgrade() -> None:
    op.create_table(
        "opendsr_requests",
        sa.Column("caller", sa.String(64), nullable=False),
        sa.Column("subject_request_id", sa.String(36), nullable=False),
        sa.Column("request_id", sa.String(40), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("callbacks", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "subject_request_id", name="pk_opendsr_requests"),
        sa.ForeignKeyConstraint(
            ["request_id"], ["forget_requests.id"], name="fk_opendsr_requests_request_id_forget_requests"
        ),
    )
    op.create_index("ix_opendsr_requests_request_id", "opendsr_requests", ["request_id"])
    op.add_column(
        "webhook_endpoints", sa.Column("protocol", sa.String(10), nullable=False, server_default="standard")
    )


def downgrade() -> None:
    op.drop_column("webhook_endpoints", "protocol")
    op.drop_table("opendsr_requests")
