"""Records whom a base and replaced versions have read: neither a base nor a destroyed version shows it.

These are personal data, by HMAC. For a version in the store, the readership is recorded with the version.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, delete, select, union_all
from sqlalchemy.orm import Session

from app.audit.events import BaseReadersStated, ForgetReopened
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.codes import DetailCode
from app.db.chunks import in_chunks
from app.db.models import (
    BaseReader,
    EventSelection,
    ForgetRequest,
    Interaction,
    PastReader,
    RequestStatus,
    Suppression,
)
from app.db.session import Database, insert_ignoring_duplicates
from app.forget_requests.moves import move_on
from app.forget_requests.states import REQUESTS, RequestEvent

# Marks a request that needs a person because the base has read its subject.
KNOWN_TO_BASE = DetailCode.KNOWN_TO_BASE


def record_base_readers(
    database: Database, audit: AuditLog, base_digest: str, subjects: Collection[str], *, actor: str
) -> None:
    """Replace the record of this base's readers, and reopen settled requests of these readers.

    The record is kept when the base is replaced, because the base may come back. No edit of an adapter reaches what a
    base knows. Each slice is a transaction, so that no forget request waits for all of them. If this is interrupted,
    everybody who was on record before is still on record, and it must be run again.
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
    """Reopen settled requests of this base's readers, because the base now serves.

    They were settled while another base served.
    """
    read = select(BaseReader.subject_hmac).where(BaseReader.base_digest == base_digest)
    _reopen(transaction, ForgetRequest.subject_hmac.in_(read), actor=actor)


def _reopen(transaction: Transaction, whose: ColumnElement[bool], *, actor: str) -> None:
    session = transaction.session
    in_force = union_all(
        select(Suppression.epoch).where(Suppression.lifted_epoch.is_(None)),
        select(EventSelection.epoch).where(EventSelection.lifted_epoch.is_(None)),
    )
    settled = session.scalars(
        # Somebody who came back after having been forgotten has agreed to be known again.
        select(ForgetRequest).where(
            ForgetRequest.outcome.is_not(None), ForgetRequest.epoch.in_(in_force), whose
        )
    ).all()
    for request in settled:
        if request.status in REQUESTS.before(RequestEvent.REOPENED):
            move_on(transaction, request, RequestEvent.REOPENED)
            request.completed_at = None
        # A request between erasing and completing still belongs to its run, which will mark it as needing a person.
        request.detail_code, request.outcome = KNOWN_TO_BASE, None
        transaction.record(ForgetReopened(request=request.id), actor=actor)
    add_past_readers(session, [request.subject_hmac for request in settled])


def add_past_readers(session: Session, subjects: Collection[str]) -> None:
    """Record that a version that is about to be replaced has read these subjects, without those already forgotten."""
    for chunk in in_chunks(subjects):
        # Somebody who came back after having been forgotten can have been read again.
        done = set(
            session.scalars(
                select(ForgetRequest.subject_hmac)
                .join(Suppression, Suppression.epoch == ForgetRequest.epoch)
                .where(
                    ForgetRequest.status == RequestStatus.COMPLETED,
                    Suppression.lifted_epoch.is_(None),
                    ForgetRequest.subject_hmac.in_(chunk),
                )
            )
        )
        rows = [{"subject_hmac": one} for one in chunk if one not in done]
        if rows:
            session.execute(insert_ignoring_duplicates(session, PastReader).values(rows))


def add_everybody_as_past_readers(session: Session) -> None:
    """Record everybody with stored events as past readers, for a version whose readership is unknown."""
    # Without a WHERE clause, SQLite parses ON CONFLICT as the condition of a join.
    everybody = select(Interaction.subject_hmac).distinct().where(Interaction.id > 0)
    session.execute(insert_ignoring_duplicates(session, PastReader).from_select(["subject_hmac"], everybody))


def drop_past_readers(session: Session, subjects: Collection[str]) -> None:
    """Delete the records of these subjects, whose requests are settled."""
    for chunk in in_chunks(subjects):
        session.execute(delete(PastReader).where(PastReader.subject_hmac.in_(chunk)))
