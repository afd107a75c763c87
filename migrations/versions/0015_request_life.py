"""The whole life of a request: approval, cancel window, holds, extensions, cancelling and denying.

Expand: columns that may be empty, or have a default for the previous release. A subject may have several suppressions,
of which at most one is in force; the previous release takes a lifted one for one in force, which errs to the safe side.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015_request_life"
down_revision = "0014_ratings"

_MOMENT = sa.DateTime(timezone=True)
_LIVE = "status NOT IN ('completed', 'cancelled', 'denied')"
_NEW_STATES = "'pending_approval', 'scheduled', 'on_hold'"
_REQUEST_COLUMNS = (
    ("clock_started_at", _MOMENT),
    ("next_warning_at", _MOMENT),
    ("cancel_until", _MOMENT),
    ("extended_at", _MOMENT),
    ("review_at", _MOMENT),
    ("held_from", sa.String(20)),
    ("denial_proposed_by", sa.String(64)),
    ("denial_reason", sa.String(40)),
    ("erased_at", _MOMENT),
    ("withdrawn_at", _MOMENT),
    ("readmission_proposed_by", sa.String(64)),
    ("readmitted_at", _MOMENT),
)


def upgrade() -> None:
    for name, kind in _REQUEST_COLUMNS:
        op.add_column("forget_requests", sa.Column(name, kind, nullable=True))
    for name, length, default in (("regime", 20, "gdpr"), ("zone", 64, "UTC")):
        column = sa.Column(name, sa.String(length), nullable=False, server_default=default)
        op.add_column("forget_requests", column)
    op.add_column(
        "forget_requests", sa.Column("warned_percent", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "forget_requests", sa.Column("expedited", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    _index_of_live_requests(_LIVE)
    with op.batch_alter_table("suppressions") as suppressions:
        suppressions.add_column(sa.Column("lifted_epoch", sa.BigInteger(), nullable=True))
        suppressions.add_column(sa.Column("lifted_at", _MOMENT, nullable=True))
        suppressions.add_column(sa.Column("lifted_because", sa.String(20), nullable=True))
        suppressions.drop_constraint("uq_suppressions_subject_hmac", type_="unique")
        suppressions.create_unique_constraint("uq_suppressions_lifted_epoch", ["lifted_epoch"])
    op.create_index("ix_suppressions_subject_hmac", "suppressions", ["subject_hmac"])
    op.create_index(
        "uq_suppressions_in_force",
        "suppressions",
        ["subject_hmac"],
        unique=True,
        sqlite_where=sa.text("lifted_epoch IS NULL"),
        postgresql_where=sa.text("lifted_epoch IS NULL"),
    )


def downgrade() -> None:
    """Requests that wait go into the queue.

    Raises:
        RuntimeError: a suppression was lifted. The previous release would suppress its subject again.
    """
    lifted = sa.text("SELECT count(*) FROM suppressions WHERE lifted_epoch IS NOT NULL")
    if op.get_bind().execute(lifted).scalar_one():
        raise RuntimeError("suppressions were lifted, and the previous release knows no such thing")
    op.execute(sa.text(f"UPDATE forget_requests SET status = 'queued' WHERE status IN ({_NEW_STATES})"))
    op.drop_index("uq_suppressions_in_force", table_name="suppressions")
    op.drop_index("ix_suppressions_subject_hmac", table_name="suppressions")
    with op.batch_alter_table("suppressions") as suppressions:
        suppressions.drop_constraint("uq_suppressions_lifted_epoch", type_="unique")
        suppressions.create_unique_constraint("uq_suppressions_subject_hmac", ["subject_hmac"])
        for name in ("lifted_because", "lifted_at", "lifted_epoch"):
            suppressions.drop_column(name)
    _index_of_live_requests("status != 'completed'")
    for name in ("expedited", "warned_percent", "zone", "regime"):
        op.drop_column("forget_requests", name)
    for name, _ in reversed(_REQUEST_COLUMNS):
        op.drop_column("forget_requests", name)


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
