"""Forget requests, and the suppressions that outlive them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest
from app.db.models.statuses import RequestScope, RequestStatus

_LIVE = "status NOT IN ('pending_verification', 'completed', 'cancelled', 'denied') AND scope = 'user'"


class ForgetRequest(Base):
    """One subject's forget request, with its deadline."""

    __tablename__ = "forget_requests"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    subject_hmac: Mapped[str] = mapped_column(Digest, index=True)
    # That of its suppression or selection. A request that was never verified has neither; the number is its place only.
    epoch: Mapped[int] = mapped_column(BigInteger, unique=True)
    scope: Mapped[str] = mapped_column(
        String(20), default=RequestScope.USER, server_default=RequestScope.USER
    )
    # How many stored events a request of scope `interactions` selects.
    selected_events: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(20), default=RequestStatus.QUEUED)
    # When it came into the state `since_status`. If that is another one than `status`, or None, an earlier release has
    # moved the request, and no sweep has looked since.
    status_since: Mapped[datetime | None]
    since_status: Mapped[str | None] = mapped_column(String(20))
    # When it was recorded that it has stayed too long in this state.
    stalled_at: Mapped[datetime | None]
    # Until then somebody must verify an end user's request. It stays set if nobody does: then nothing ever began.
    verify_until: Mapped[datetime | None]
    # What takes effect when the request is verified: its selection, and the commitment to the user's id.
    asked_selection: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    subject_commitment: Mapped[str | None] = mapped_column(Digest)
    # Until then the request can be cancelled without a run having started; None where the policy has no window.
    cancel_until: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(20))
    detail_code: Mapped[str | None] = mapped_column(String(40))
    reason: Mapped[str | None] = mapped_column(String(40))
    client_reference: Mapped[str | None] = mapped_column(String(64), index=True)
    requested_by: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    # The clock: its rules, the zone of the subject, and the instant it counts from; None means from receipt.
    regime: Mapped[str] = mapped_column(String(20), default="gdpr", server_default="gdpr")
    zone: Mapped[str] = mapped_column(String(64), default="UTC", server_default="UTC")
    clock_started_at: Mapped[datetime | None]
    due_at: Mapped[datetime]
    # The last share of the time, in percent, whose passing was recorded as a warning.
    warned_percent: Mapped[int] = mapped_column(default=0, server_default="0")
    # When the next share has passed; None if that was not computed yet.
    next_warning_at: Mapped[datetime | None]
    # Set once, by a person, within the legal limit.
    extended_at: Mapped[datetime | None]
    # Goes before all others that are queued.
    expedited: Mapped[bool] = mapped_column(default=False, server_default=false())
    # When somebody must look at a hold again.
    review_at: Mapped[datetime | None]
    # The state before a hold, to which it returns when it is released.
    held_from: Mapped[str | None] = mapped_column(String(20))
    # The first of the two people who must deny a request, and the reason that both give.
    denial_proposed_by: Mapped[str | None] = mapped_column(String(64))
    denial_reason: Mapped[str | None] = mapped_column(String(40))
    completed_at: Mapped[datetime | None]
    # When the data were deleted. From then on the request cannot be withdrawn: who comes back is readmitted.
    erased_at: Mapped[datetime | None]
    # When it was cancelled or denied.
    withdrawn_at: Mapped[datetime | None]
    # The first of the two people who must readmit a subject, and when the subject came back, after this request was
    # completed.
    readmission_proposed_by: Mapped[str | None] = mapped_column(String(64))
    readmitted_at: Mapped[datetime | None]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    # The rung of the policy's ladder at which the next run of this request starts.
    first_step: Mapped[int] = mapped_column(default=0, server_default="0")

    __table_args__ = (
        Index(
            "uq_forget_requests_live",
            "subject_hmac",
            unique=True,
            sqlite_where=text(_LIVE),
            postgresql_where=text(_LIVE),
        ),
        Index("ix_forget_requests_pages", "status", "due_at", "epoch"),
        # A claim takes the most urgent ones that are queued.
        Index("ix_forget_requests_urgent", "status", "scope", "expedited", "due_at", "epoch"),
        # Those that have stayed too long in their state are counted and told.
        Index("ix_forget_requests_dwell", "status", "status_since"),
        # The dashboard reads unfinished ones in this order, a page at a time.
        Index("ix_forget_requests_due", "due_at", "epoch"),
    )


class Suppression(Base):
    """The fact that a subject is, or was, suppressed. Never deleted: it keeps the data of an erased subject from coming
    back.

    A suppression is lifted when its request is cancelled or denied, and when somebody who was forgotten comes back. The
    lift has an epoch of its own, by which replicas and restored databases learn of it.
    """

    __tablename__ = "suppressions"
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    subject_hmac: Mapped[str] = mapped_column(Digest)
    suppressed_at: Mapped[datetime]
    lifted_epoch: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    lifted_at: Mapped[datetime | None]
    lifted_because: Mapped[str | None] = mapped_column(String(20))

    __table_args__ = (
        # A subject has at most one suppression that is in force, and one row for each that was lifted.
        Index(
            "uq_suppressions_in_force",
            "subject_hmac",
            unique=True,
            sqlite_where=lifted_epoch.is_(None),
            postgresql_where=lifted_epoch.is_(None),
        ),
        Index("ix_suppressions_subject_hmac", "subject_hmac"),
    )
