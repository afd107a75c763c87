"""Lifting suppressions: when a request is cancelled or denied, and when somebody who was forgotten comes back."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from app.audit.events import SuppressionLifted
from app.audit.transaction import Transaction
from app.db.ledger import next_epoch
from app.db.models import ForgetRequest, Suppression
from app.outbox import service as outbox
from app.outbox.service import Topic
from model_store import JournalEntry


class LiftedBecause(StrEnum):
    """Why a suppression was lifted."""

    CANCELLED = "cancelled"
    DENIED = "denied"
    READMITTED = "readmitted"  # the subject was forgotten, and has come back since


def lift(
    transaction: Transaction, request: ForgetRequest, because: LiftedBecause, *, actor: str, now: datetime
) -> Suppression:
    """End the suppression that the request began. The row stays; replicas and the journal learn of the lift by its
    epoch.

    Raises:
        LookupError: the suppression is not in force.
    """
    session = transaction.session
    row = session.scalars(
        select(Suppression).where(Suppression.epoch == request.epoch, Suppression.lifted_epoch.is_(None))
    ).one_or_none()
    if row is None:
        raise LookupError(f"the suppression of request {request.id} is not in force")
    row.lifted_epoch = next_epoch(transaction.ledger)
    row.lifted_at, row.lifted_because = now, because
    # The person may be suppressed anew in this transaction, and only one suppression may be in force.
    session.flush()
    outbox.put(session, Topic.LIFTED, str(row.lifted_epoch), now=now)
    transaction.record(
        SuppressionLifted(
            request=request.id,
            epoch=row.lifted_epoch,
            because=because,
            subject=transaction.audit.subject_digest(request.subject_hmac),
        ),
        actor=actor,
    )
    return row


def journal_entry(row: Suppression, request_id: str) -> JournalEntry:
    """The entry of the erasure journal about a lift. Every process makes the same one."""
    assert row.lifted_epoch is not None
    assert row.lifted_at is not None
    return JournalEntry(
        epoch=row.lifted_epoch,
        subject_hmac=row.subject_hmac,
        suppressed_at=row.lifted_at.isoformat(),
        request=request_id,
        lifted=row.lifted_because,
        schema=3,
    )
