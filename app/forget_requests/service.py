"""Accepting, restoring and retrying forget requests."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.audit.events import ForgetAccepted, ForgetRetried
from app.audit.transaction import Transaction
from app.db.ledger import next_epoch
from app.db.models import ForgetRequest, Suppression
from app.forget_requests.deadlines import gdpr_due_at
from app.forget_requests.states import ACCEPTED
from app.readers.service import add_past_readers
from app.runs.service import ensure_queued_run
from app.runs.splitting import queue_again
from model_store import JournalEntry


@dataclass(frozen=True)
class Acceptance:
    """``created`` is False if the subject already had a request. Then nothing was changed, neither was the deadline."""

    request: ForgetRequest
    created: bool
    run_id: str | None


def accept(
    transaction: Transaction,
    *,
    subject_hmac: str,
    requested_by: str,
    now: datetime,
    reason: str | None = None,
    client_reference: str | None = None,
    subject_commitment: str | None = None,
) -> Acceptance:
    """Store request, suppression, audit entry and queued run in one transaction (invariants I1 and I2).

    This does not check whether the user is known: the answer must not reveal that.
    """
    existing = transaction.session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.subject_hmac == subject_hmac)
        .order_by(ForgetRequest.epoch.desc())
    ).first()
    if existing is not None:
        # If it is unfinished, it is the same request. If it is completed, a suppressed subject can have no new data.
        return Acceptance(existing, created=False, run_id=None)
    return _create(
        transaction,
        subject_hmac,
        requested_by,
        now,
        reason,
        client_reference,
        subject_commitment=subject_commitment,
    )


def readopt(
    transaction: Transaction, subject_hmac: str, accepted_at: datetime, request_id: str | None
) -> bool:
    """Accept a request again that a restored database has lost. Returns True if this database did not have it.

    A database restored from an old backup has lost requests that were accepted, and perhaps completed. They are
    accepted again with their old id and deadline, so that the restored data are erased again.
    """
    session = transaction.session
    known = session.scalar(select(Suppression.epoch).where(Suppression.subject_hmac == subject_hmac))
    if known is not None:
        return False
    if request_id is not None and session.get(ForgetRequest, request_id) is not None:
        request_id = None
    _create(transaction, subject_hmac, "erasure-journal", accepted_at, "restored", None, request_id)
    # A version that had read the subject may be destroyed by now. That must not make their outcome `no_data`.
    add_past_readers(session, [subject_hmac])
    return True


def journal_entry(request: ForgetRequest) -> JournalEntry:
    """The request's entry in the erasure journal. Every process makes the same one."""
    return JournalEntry(
        epoch=request.epoch,
        subject_hmac=request.subject_hmac,
        suppressed_at=request.received_at.isoformat(),
        request=request.id,
    )


def _create(
    transaction: Transaction,
    subject_hmac: str,
    requested_by: str,
    now: datetime,
    reason: str | None,
    client_reference: str | None,
    request_id: str | None = None,
    subject_commitment: str | None = None,
) -> Acceptance:
    session = transaction.session
    epoch = next_epoch(transaction.ledger)
    request = ForgetRequest(
        id=request_id or f"fr_{uuid.uuid4().hex}",
        subject_hmac=subject_hmac,
        epoch=epoch,
        status=ACCEPTED,
        reason=reason,
        client_reference=client_reference,
        requested_by=requested_by,
        received_at=now,
        due_at=gdpr_due_at(now),
    )
    session.add(request)
    session.add(Suppression(epoch=epoch, subject_hmac=subject_hmac, suppressed_at=now))
    run_id = ensure_queued_run(session, now)
    transaction.record(
        ForgetAccepted(
            request=request.id,
            epoch=epoch,
            due_at=request.due_at.isoformat(),
            subject=transaction.audit.subject_digest(subject_hmac),
            subject_commitment=subject_commitment,
        ),
        actor=requested_by,
    )
    return Acceptance(request, created=True, run_id=run_id)


def retry(transaction: Transaction, request_id: str, *, actor: str, now: datetime) -> ForgetRequest | None:
    """Queue a request that needs attention again, with the same id and deadline (invariant I11).

    It starts at the first rung again. A person retries because the policy, the data or the code has changed. Then the
    results of earlier rungs no longer hold, and a rung's number may mean another method.

    Returns:
        The request; None if there is none with that id.

    Raises:
        IllegalTransition: the request does not need attention.
    """
    request = transaction.session.get(ForgetRequest, request_id, with_for_update=True)
    if request is not None:
        queue_again(transaction, [request], ForgetRetried, actor=actor, now=now)
    return request
