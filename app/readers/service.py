"""Who has been read by what no longer shows it: a base, and versions that have been replaced.

Personal data, by HMAC. Whom the versions in the store have read is recorded with each version.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from app.audit.events import BaseReadersStated, ForgetReopened
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.codes import DetailCode
from app.db.chunks import in_chunks
from app.db.models import BaseReader, ForgetRequest, Interaction, PastReader, RequestStatus
from app.db.session import Database, insert_ignoring_duplicates
from app.forget_requests.states import REQUESTS, RequestEvent

# What a request that needs a person for this reason is marked with.
KNOWN_TO_BASE = DetailCode.KNOWN_TO_BASE


def record_base_readers(
    database: Database, audit: AuditLog, base_digest: str, subjects: Collection[str], *, actor: str
) -> None:
    """Replace what was recorded of this base, and open again what was settled as if it had not read them.

    The record is kept when the base is replaced: it may come back. No edit of an adapter reaches what a base knows.
    A slice a transaction, so that no forget request waits for all of it. Interrupted, it still names everybody whom it
    named before; it is to be run again.
    """
    with database.read() as session:
        before = set(
            session.scalars(select(BaseReader.subject_hmac).where(BaseReader.base_digest == base_digest))
        )
    for chunk in in_chunks(subjects):
        with Transaction.begin(database, audit) as transaction:
            session = transaction.session
            rows = [{"base_digest": base_digest, "subject_hmac": subject} for subject in chunk]
            session.execute(insert_ignoring_duplicates(session, BaseReader).values(rows))
            _reopen(transaction, ForgetRequest.subject_hmac.in_(chunk), actor=actor)
    for chunk in in_chunks(before.difference(subjects)):
        with database.unit_of_work() as session:
            session.execute(
                delete(BaseReader).where(
                    BaseReader.base_digest == base_digest, BaseReader.subject_hmac.in_(chunk)
                )
            )
    with Transaction.begin(database, audit) as transaction:
        transaction.record(BaseReadersStated(base=base_digest, readers=len(set(subjects))), actor=actor)


def reopen_base_readers(transaction: Transaction, base_digest: str, *, actor: str) -> None:
    """A base comes, or comes back: what was settled while another served does not hold of those whom it has read."""
    read = select(BaseReader.subject_hmac).where(BaseReader.base_digest == base_digest)
    _reopen(transaction, ForgetRequest.subject_hmac.in_(read), actor=actor)


def _reopen(transaction: Transaction, whose: ColumnElement[bool], *, actor: str) -> None:
    session = transaction.session
    settled = session.scalars(select(ForgetRequest).where(ForgetRequest.outcome.is_not(None), whose)).all()
    for request in settled:
        if request.status in REQUESTS.before(RequestEvent.REOPENED):
            request.status = REQUESTS.after(request.status, RequestEvent.REOPENED)
            request.completed_at = None
        # Between erasing and completing it is still the run's, which ends it as one that needs a person.
        request.detail_code, request.outcome = KNOWN_TO_BASE, None
        transaction.record(ForgetReopened(request=request.id), actor=actor)
    add_past_readers(session, [request.subject_hmac for request in settled])


def add_past_readers(session: Session, subjects: Collection[str]) -> None:
    """Remember that a version had read them which is about to go, but of nobody whose request is done."""
    for chunk in in_chunks(subjects):
        done = set(
            session.scalars(
                select(ForgetRequest.subject_hmac).where(
                    ForgetRequest.status == RequestStatus.COMPLETED, ForgetRequest.subject_hmac.in_(chunk)
                )
            )
        )
        rows = [{"subject_hmac": one} for one in chunk if one not in done]
        if rows:
            session.execute(insert_ignoring_duplicates(session, PastReader).values(rows))


def add_everybody_as_past_readers(session: Session) -> None:
    """Take a version that is about to go to have read everybody of whom something is stored."""
    # SQLite takes ON CONFLICT for a join's condition unless a WHERE stands before it.
    everybody = select(Interaction.subject_hmac).distinct().where(Interaction.id > 0)
    session.execute(insert_ignoring_duplicates(session, PastReader).from_select(["subject_hmac"], everybody))


def drop_past_readers(session: Session, subjects: Collection[str]) -> None:
    """Their requests are settled: nobody asks for it again."""
    for chunk in in_chunks(subjects):
        session.execute(delete(PastReader).where(PastReader.subject_hmac.in_(chunk)))
