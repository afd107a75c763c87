"""Telling recipients of requests, and taking their acknowledgements."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.target_events import RecipientsNotified, TargetAcknowledged
from app.audit.transaction import Transaction
from app.db.chunks import in_chunks
from app.db.models import EndpointState, ForgetTarget, Recipient, WebhookEndpoint


def notify(transaction: Transaction, request_ids: Sequence[str], *, now: datetime) -> None:
    """Tell the recipients of requests whose subjects are erased now. Each request is told once.

    Not before: a request that a run has only taken may still return to the queue and be withdrawn, and no recipient
    must have erased somebody who stays.
    """
    session = transaction.session
    recipients = session.scalars(
        select(WebhookEndpoint)
        .where(WebhookEndpoint.recipient.is_not(None), WebhookEndpoint.state != EndpointState.PENDING)
        .order_by(WebhookEndpoint.name)
    ).all()
    told = _told(session, request_ids)
    new = [request for request in request_ids if request not in told]
    if not recipients or not new:
        return
    mandatory = [one.name for one in recipients if one.recipient == Recipient.MANDATORY]
    session.add_all(
        ForgetTarget(request_id=request, name=one.name, mandatory=one.name in mandatory, notified_at=now)
        for request in new
        for one in recipients
    )
    names = [one.name for one in recipients]
    transaction.record(RecipientsNotified(requests=new, targets=names, mandatory=mandatory))


def acknowledge(transaction: Transaction, target: ForgetTarget, *, by: str, now: datetime) -> None:
    """Record that a recipient has done its part. Later acknowledgements change nothing."""
    if target.acknowledged_at is None:
        target.acknowledged_at, target.acknowledged_by = now, by
        transaction.record(TargetAcknowledged(request=target.request_id, target=target.name), actor=by)


def find(session: Session, request_id: str, name: str) -> ForgetTarget | None:
    return session.get(ForgetTarget, (request_id, name))


def of_request(session: Session, request_id: str) -> Sequence[ForgetTarget]:
    return session.scalars(
        select(ForgetTarget).where(ForgetTarget.request_id == request_id).order_by(ForgetTarget.name)
    ).all()


def waiting(session: Session, request_ids: Collection[str]) -> set[str]:
    """Those of the requests that a mandatory recipient has not acknowledged yet."""
    query = select(ForgetTarget.request_id).where(
        ForgetTarget.mandatory, ForgetTarget.acknowledged_at.is_(None)
    )
    return {
        request
        for some in in_chunks(request_ids)
        for request in session.scalars(query.where(ForgetTarget.request_id.in_(some)))
    }


def _told(session: Session, request_ids: Collection[str]) -> set[str]:
    query = select(ForgetTarget.request_id)
    return {
        request
        for some in in_chunks(request_ids)
        for request in session.scalars(query.where(ForgetTarget.request_id.in_(some)))
    }
