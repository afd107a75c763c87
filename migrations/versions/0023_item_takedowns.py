"""Items that were taken down.

Expand: two tables, and columns that may be empty. The previous release recommends what was taken down: it must not
serve beside this one once an item was.

Revision: 0023_item_takedowns
Revises: 0022_opendsr
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023_item_takedowns"
down_revision = "0022_opendsr"
branch_labels = None
depends_on = None

_ITEM_ID = sa.String(256).with_variant(sa.String(128), "sqlite")


def upgrade() -> None:
    op.create_table(
        "item_takedowns",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("item_id", _ITEM_ID, nullable=False, unique=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False, unique=True),
        sa.Column("client_reference", sa.String(64), nullable=True),
        sa.Column("requested_by", sa.String(64), nullable=False),
        sa.Column("taken_down_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_events", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id"), nullable=True),
        sa.Column("version_digest", sa.String(64), nullable=True),
    )
    op.create_table(
        "taken_item_ids",
        sa.Column("item_id", _ITEM_ID, primary_key=True),
        sa.Column("takedown_id", sa.String(40), sa.ForeignKey("item_takedowns.id"), nullable=False),
    )
    op.create_index("ix_taken_item_ids_takedown_id", "taken_item_ids", ["takedown_id"])
    op.add_column("public_events", sa.Column("takedown_id", sa.String(40), nullable=True))
    op.add_column("public_events", sa.Column("item_id", _ITEM_ID, nullable=True))


def downgrade() -> None:
    """
    Raises:
        RuntimeError: an item was taken down. The previous release would recommend it again.
    """
    if op.get_bind().execute(sa.text("SELECT count(*) FROM item_takedowns")).scalar_one():
        raise RuntimeError("items were taken down, and the previous release would recommend them again")
    op.drop_column("public_events", "item_id")
    op.drop_column("public_events", "takedown_id")
    op.drop_table("taken_item_ids")
    op.drop_table("item_takedowns")
