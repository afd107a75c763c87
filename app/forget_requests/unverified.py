"""Requests that wait for their verification, and never began: how they are found and how they end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.audit.decision_events import ForgetSuperseded, ForgetUnverified
from app.audit.transaction import Transaction
from app.db.models import ForgetRequest, RequestScope, RequestStatus
from app.forget_requests.moves import move_on
from app.forget_requests.states import RequestEvent
from app.selections.criteria import Criteria

# Why such a request was cancelled, as its `detail_code`.
NOT_VERIFIED, SUPERSEDED = "not_verified", "superseded"
_WAITS = ForgetRequest.status == RequestStatus.PENDING_VERIFICATION


def waiting_request(session: Session, subject_hmac: str, criteria: Criteria | None) -> ForgetRequest | None:
    """The subject's request that waits and asks for the same; ``criteria`` is None for the whole person."""
    scope = RequestScope.USER if criteria is None else RequestScope.INTERACTIONS
    for one in _of_subject(session, subject_hmac):
        if one.scope == scope and (criteria is None or criteria_of(one).asks_the_same(criteria)):
            return one
    return None


def criteria_of(request: ForgetRequest) -> Criteria:
    """What a request that waits selects.

    Raises:
        ValueError: it is about the whole person.
    """
    if request.asked_selection is None:
        raise ValueError("the request selects nothing")
    return Criteria.from_plain(request.asked_selection)


def supersede(transaction: Transaction, by: ForgetRequest, now: datetime) -> None:
    """End every request of the same subject that waits: ``by`` is completed, and has forgotten the whole person.

    Not before: until then ``by`` may be withdrawn, and what the person has asked for must not be lost with it.
    """
    for one in _of_subject(transaction.session, by.subject_hmac):
        _end(transaction, one, RequestEvent.SUPERSEDED, SUPERSEDED, now)
        transaction.record(ForgetSuperseded(request=one.id, by=by.id))


def has_expired(session: Session, now: datetime) -> bool:
    """Whether a request was not verified in time."""
    return session.scalar(select(ForgetRequest.id).where(_WAITS, _expired(now)).limit(1)) is not None


def expire(transaction: Transaction, now: datetime) -> int:
    """End every request that was not verified in time. Returns how many. There is no suppression to lift."""
    late = transaction.session.scalars(select(ForgetRequest).where(_WAITS, _expired(now))).all()
    for one in late:
        _end(transaction, one, RequestEvent.UNVERIFIED, NOT_VERIFIED, now)
        transaction.record(ForgetUnverified(request=one.id))
    return len(late)


def _of_subject(session: Session, subject_hmac: str) -> Iterable[ForgetRequest]:
    return session.scalars(
        select(ForgetRequest).where(_WAITS, ForgetRequest.subject_hmac == subject_hmac)
    ).all()


def _expired(now: datetime) -> ColumnElement[bool]:
    return ForgetRequest.verify_until <= now


def _end(
    transaction: Transaction, request: ForgetRequest, event: RequestEvent, code: str, now: datetime
) -> None:
    move_on(transaction, request, event)
    request.withdrawn_at, request.detail_code = now, code
