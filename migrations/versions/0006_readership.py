"""Readership: which users a base has read, and which a version that was replaced before the request's own run.

Expand: two tables, and item ids of up to 256 characters, as everywhere else. The subjects of requests that are open now
count as read, because something may have read them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_readership"
down_revision = "0005_levels_remember_members"


def upgrade() -> None:
    op.create_table(
        "base_readers",
        sa.Column("base_digest", sa.String(64), primary_key=True),
        sa.Column("subject_hmac", sa.String(64), primary_key=True),
    )
    op.create_table("past_readers", sa.Column("subject_hmac", sa.String(64), primary_key=True))
    op.execute(
        sa.text(
            "INSERT INTO past_readers (subject_hmac) "
            "SELECT DISTINCT subject_hmac FROM forget_requests WHERE status <> 'completed'"
        )
    )
    # SQLite does not enforce lengths, and the change would copy the largest table.
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("interactions", "item_id", existing_type=sa.String(128), type_=sa.String(256))


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("interactions", "item_id", existing_type=sa.String(256), type_=sa.String(128))
    op.drop_table("past_readers")
    op.drop_table("base_readers")
