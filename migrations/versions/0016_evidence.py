"""The Merkle tree over the audit log, and receipts.

Expand: four new tables, which the previous release does not use. The tree of an existing log grows when a worker starts
or somebody asks for a proof, so this revision takes no longer for a long log.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_evidence"
down_revision = "0015_request_life"


def upgrade() -> None:
    op.create_table(
        "audit_tree",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_tree_single_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_tree")),
    )
    op.execute("INSERT INTO audit_tree (id, size) VALUES (1, 0)")
    op.create_table(
        "audit_nodes",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name=op.f("pk_audit_nodes")),
    )
    op.create_table(
        "audit_references",
        sa.Column("reference", sa.String(length=40), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("reference", "sequence", name=op.f("pk_audit_references")),
    )
    op.create_table(
        "receipts",
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["forget_requests.id"], name=op.f("fk_receipts_request_id_forget_requests")
        ),
        sa.PrimaryKeyConstraint("request_id", "kind", "sequence", name=op.f("pk_receipts")),
    )


def downgrade() -> None:
    op.drop_table("receipts")
    op.drop_table("audit_references")
    op.drop_table("audit_nodes")
    op.drop_table("audit_tree")
