"""What is to be told outside, in the transaction that gives cause for it.

Expand: a new table, which the previous release leaves alone. Its waiting runs need no entry: they are swept.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012_outbox"
down_revision = "0011_attempts_of_requests"

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _BIG_ID, autoincrement=True, nullable=False),
        sa.Column("topic", sa.String(length=20), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("topic", "reference", name=op.f("uq_outbox_topic_reference")),
    )


def downgrade() -> None:
    op.drop_table("outbox")
