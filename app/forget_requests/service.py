"""Accepting a forget request, and reading it back."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.db.ledger import lock_ledger, next_epoch
from app.db.models import ForgetRequest, Ledger, RequestStatus, Suppression
from app.forget_requests.deadlines import gdpr_due_at
from app.readers.service import add_past_readers
from app.runs.service import ensure_queued_run
from app.runs.splitting import queue_again
from model_store import JournalEntry


@dataclass(frozen=True)
class Acceptance:
    """``created`` is False when the subject already had a request; then nothing was changed, least of all the clock."""

    request: ForgetRequest
    created: bool
    run_id: str | None


def accept(
    session: Session,
    audit: AuditLog,
    *,
    subject_hmac: str,
    requested_by: str,
    now: datetime,
    reason: str | None = None,
    client_reference: str | None = None,
) -> Acceptance:
    """Request, suppression, audit entry and queued run: one transaction (invariants I1 and I2).

    Whether the user is known is deliberately not looked at: the answer must not tell.
    """
    ledger = lock_ledger(session)
    existing = session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.subject_hmac == subject_hmac)
        .order_by(ForgetRequest.epoch.desc())
    ).first()
    if existing is not None:
        # Live: the same request. Completed: a suppressed subject can have no new data, so it is still honoured.
        return Acceptance(existing, created=False, run_id=None)
    return _create(session, ledger, audit, subject_hmac, requested_by, now, reason, client_reference)


def readopt(
    session: Session, audit: AuditLog, subject_hmac: str, accepted_at: datetime, request_id: str | None
) -> bool:
    """Learn that a subject had asked to be forgotten; True if this database did not know.

    A database restored from an old backup has lost requests that were already accepted, and perhaps honoured. They
    are accepted again under their old id and clock, so that the restored data is erased again.
    """
    ledger = lock_ledger(session)
    known = session.scalar(select(Suppression.epoch).where(Suppression.subject_hmac == subject_hmac))
    if known is not None:
        return False
    if request_id is not None and session.get(ForgetRequest, request_id) is not None:
        request_id = None
    _create(
        session, ledger, audit, subject_hmac, "erasure-journal", accepted_at, "restored", None, request_id
    )
    # What had read them may be gone since; "no data" must not be said of them for that.
    add_past_readers(session, [subject_hmac])
    return True


def journal_entry(request: ForgetRequest) -> JournalEntry:
    """The request's entry in the erasure journal; the same whoever writes it."""
    return JournalEntry(
        epoch=request.epoch,
        subject_hmac=request.subject_hmac,
        suppressed_at=request.received_at.isoformat(),
        request=request.id,
    )


def _create(
    session: Session,
    ledger: Ledger,
    audit: AuditLog,
    subject_hmac: str,
    requested_by: str,
    now: datetime,
    reason: str | None,
    client_reference: str | None,
    request_id: str | None = None,
) -> Acceptance:
    epoch = next_epoch(ledger)
    request = ForgetRequest(
        id=request_id or f"fr_{uuid.uuid4().hex}",
        subject_hmac=subject_hmac,
        epoch=epoch,
        status=RequestStatus.QUEUED,
        reason=reason,
        client_reference=client_reference,
        requested_by=requested_by,
        received_at=now,
        due_at=gdpr_due_at(now),
    )
    session.add(request)
    session.add(Suppression(epoch=epoch, subject_hmac=subject_hmac, suppressed_at=now))
    run_id = ensure_queued_run(session, now)
    audit.append(
        session,
        ledger,
        actor=requested_by,
        action="forget.accepted",
        data={
            "request": request.id,
            "epoch": epoch,
            "due_at": request.due_at.isoformat(),
            "subject": audit.subject_digest(subject_hmac),
        },
    )
    return Acceptance(request, created=True, run_id=run_id)


def retry(
    session: Session, audit: AuditLog, request_id: str, *, actor: str, now: datetime
) -> ForgetRequest | None:
    """Put a request that needs attention back into the queue: same request, same clock (invariant I11).

    It starts at the first rung again. A person retries because something has changed, the policy, the data or the
    code: then what the rungs once said holds no longer, and a rung's number may mean another method.

    Returns:
        The request, or None if there is none of that id. The caller compares its status: a request in any other
        state is returned unchanged.
    """
    ledger = lock_ledger(session)
    request = session.get(ForgetRequest, request_id, with_for_update=True)
    if request is None or request.status != RequestStatus.NEEDS_ATTENTION:
        return request
    queue_again(session, audit, ledger, [request], action="forget.retried", actor=actor, now=now)
    return request
