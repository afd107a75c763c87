"""Lifting suppressions: when a request is cancelled or denied, and when somebody who was forgotten comes back."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from app.audit.decision_events import SelectionLifted, SuppressionLifted
from app.audit.transaction import Transaction
from app.db.ledger import next_epoch
from app.db.models import EventSelection, ForgetRequest, RequestScope, Suppression
from app.levels import service as levels
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.selections import service as selections
from model_store import JournalEntry


class LiftedBecause(StrEnum):
    """Why a suppression was lifted."""

    CANCELLED = "cancelled"
    DENIED = "denied"
    READMITTED = "readmitted"  # the subject was forgotten, and has come back since


Liftable = Suppression | EventSelection


def record_of(session: Session, request: ForgetRequest) -> Liftable:
    """What the request has put in force: a suppression, or a selection of events."""
    if request.scope == RequestScope.INTERACTIONS:
        return session.get_one(EventSelection, request.epoch)
    return session.get_one(Suppression, request.epoch)


def lift(
    transaction: Transaction, request: ForgetRequest, because: LiftedBecause, *, actor: str, now: datetime
) -> None:
    """End the suppression or the selection that the request began. The row stays; replicas and the journal learn of the
    lift by its epoch.

    Raises:
        LookupError: it is not in force.
    """
    session = transaction.session
    row = record_of(session, request)
    if row.lifted_epoch is not None:
        raise LookupError(f"what request {request.id} began is not in force")
    row.lifted_epoch = next_epoch(transaction.ledger)
    row.lifted_at, row.lifted_because = now, because
    # The person may be suppressed anew in this transaction, and only one suppression may be in force.
    session.flush()
    if isinstance(row, EventSelection):
        selections.show_again(session, row)
        # They were measured without the events.
        levels.drop_of_subjects(session, [row.subject_hmac])
    outbox.put(session, Topic.LIFTED, str(row.lifted_epoch), now=now)
    event = SelectionLifted if isinstance(row, EventSelection) else SuppressionLifted
    transaction.record(
        event(
            request=request.id,
            epoch=row.lifted_epoch,
            because=because,
            subject=transaction.audit.subject_digest(request.subject_hmac),
        ),
        actor=actor,
    )


def journal_entry(row: Liftable, request_id: str) -> JournalEntry:
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
