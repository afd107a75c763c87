"""Answers to requests with an idempotency key.

Expand: a new table, which the previous release leaves alone.

Revision: 0018_access
Revises: 0014_ratings
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_access"
down_revision = "0014_ratings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_answers",
        sa.Column("key_mac", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_mac", name=op.f("pk_kept_answers")),
    )
    op.create_index(op.f("ix_kept_answers_expires_at"), "kept_answers", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("kept_answers")
