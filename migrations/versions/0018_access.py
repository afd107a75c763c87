"""Answers to requests with an idempotency key, and batches of forget requests, and several keys of one name.

Expand: new tables and a column with a default, which the previous release leaves alone. It revokes by name, which then
means all keys of the name.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_access"
down_revision = "0016_evidence"


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
    op.create_table(
        "forget_batches",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("key_mac", sa.String(length=64), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("requested_by", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forget_batches")),
        sa.UniqueConstraint("key_mac", name=op.f("uq_forget_batches_key_mac")),
    )
    op.create_table(
        "forget_batch_items",
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("result", sa.String(length=20), nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=True),
        sa.Column("errors", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["forget_batches.id"], name=op.f("fk_forget_batch_items_batch_id_forget_batches")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["forget_requests.id"],
            name=op.f("fk_forget_batch_items_request_id_forget_requests"),
        ),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_forget_batch_items")),
    )
    op.create_index(
        op.f("ix_forget_batch_items_request_id"), "forget_batch_items", ["request_id"], unique=False
    )
    with op.batch_alter_table("api_keys") as keys:
        keys.add_column(sa.Column("rotation", sa.Integer(), server_default="0", nullable=False))
        keys.drop_constraint(op.f("uq_api_keys_name"), type_="unique")
        keys.create_unique_constraint(op.f("uq_api_keys_name_rotation"), ["name", "rotation"])


def downgrade() -> None:
    """Of several keys of one name, the newest stays."""
    keys = sa.table("api_keys", sa.column("name", sa.String()), sa.column("rotation", sa.Integer()))
    newer = keys.alias()
    op.execute(
        sa.delete(keys).where(
            sa.exists().where(newer.c.name == keys.c.name, newer.c.rotation > keys.c.rotation)
        )
    )
    with op.batch_alter_table("api_keys") as table:
        table.drop_constraint(op.f("uq_api_keys_name_rotation"), type_="unique")
        table.create_unique_constraint(op.f("uq_api_keys_name"), ["name"])
        table.drop_column("rotation")
    op.drop_table("forget_batch_items")
    op.drop_table("forget_batches")
    op.drop_table("kept_answers")
