"""Accepting and retrying forget requests. What people decide about them is in `decisions`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from app.audit.decision_events import ForgetWindowEnded
from app.audit.events import ForgetAccepted, ForgetRetried
from app.audit.transaction import Transaction
from app.db.ledger import next_epoch
from app.db.models import EventSelection, ForgetRequest, RequestScope, RequestStatus, Suppression
from app.db.models.statuses import SETTLED
from app.forget_requests.deadlines import plan_warning
from app.forget_requests.moves import move_on
from app.forget_requests.policy import (
    FROM_THE_POLICY,
    WITHOUT_STEPS,
    AskedClock,
    RequestPolicy,
)
from app.forget_requests.states import CREATED, RequestEvent
from app.runs.service import ensure_queued_run
from app.runs.splitting import queue_again
from app.runs.states import RUN_OF
from app.selections import queries as selection_queries
from app.selections import service as selections
from app.selections.criteria import Criteria
from app.suppressions.queries import suppressed_among
from model_store import JournalEntry


@dataclass(frozen=True)
class Acceptance:
    """``created`` is False if the subject already had a request. Then nothing was changed, neither was the deadline.

    ``run_id`` is None if the request was not created, or does not go into the queue at once. ``selected`` is None if it
    was not created, or is about the whole person.
    """

    request: ForgetRequest
    created: bool
    run_id: str | None
    selected: EventSelection | None = None

    @property
    def began(self) -> bool:
        """Whether a suppression or a selection began; not with a request that waits for its verification."""
        return self.created and self.request.verify_until is None


@dataclass(frozen=True)
class Asked:
    """What a request says beside its subject. ``subject_commitment``: see `app.subjects.commitment`."""

    reason: str | None = None
    client_reference: str | None = None
    clock: AskedClock = FROM_THE_POLICY
    subject_commitment: str | None = None


NOTHING_ELSE = Asked()


def accept(
    transaction: Transaction,
    *,
    subject_hmac: str,
    requested_by: str,
    now: datetime,
    policy: RequestPolicy = WITHOUT_STEPS,
    asked: Asked = NOTHING_ELSE,
) -> Acceptance:
    """Store request, suppression, audit entry and, unless the policy has a step before it, the queued run, in one
    transaction (invariants I1 and I2).

    This does not check whether the user is known: the answer must not reveal that.

    Raises:
        ValueError: the clock that was asked for cannot be set.
    """
    existing = repeated(transaction.session, subject_hmac)
    if existing is not None:
        return Acceptance(existing, created=False, run_id=None)
    return create(transaction, subject_hmac, requested_by, now, policy, asked)


def accept_selection(
    transaction: Transaction,
    *,
    criteria: Criteria,
    subject_hmac: str,
    requested_by: str,
    now: datetime,
    policy: RequestPolicy = WITHOUT_STEPS,
    asked: Asked = NOTHING_ELSE,
) -> Acceptance:
    """Store a request to forget some of a person's events, and hide these events, in one transaction.

    An unfinished request that selects all these events is returned instead, and so is the last request of a person who
    is suppressed: it covers all events.

    Raises:
        ValueError: as `accept` does.
    """
    existing = repeated(transaction.session, subject_hmac, criteria)
    if existing is not None:
        return Acceptance(existing, created=False, run_id=None)
    return create(transaction, subject_hmac, requested_by, now, policy, asked, criteria=criteria)


def repeated(session: Session, subject_hmac: str, criteria: Criteria | None = None) -> ForgetRequest | None:
    """The verified request that asks for the same already; None if there is none.

    Args:
        criteria: what is selected; None for the whole person.
    """
    if criteria is not None and not _is_suppressed(session, subject_hmac):
        existing = selection_queries.open_request_for(session, subject_hmac, criteria)
        # What the person has done since the first request is no part of it.
        shown = existing is not None and selections.selects_shown(session, subject_hmac, criteria)
        return None if shown else existing
    newest = session.scalars(
        select(ForgetRequest)
        .where(
            ForgetRequest.subject_hmac == subject_hmac,
            ForgetRequest.scope == RequestScope.USER,
            # What nobody has verified stands in the way of nobody.
            ForgetRequest.verify_until.is_(None),
        )
        .order_by(ForgetRequest.epoch.desc())
    ).first()
    # If it is unfinished, it is the same request. If it is completed, a suppressed subject can have no new data.
    if newest is None or newest.status not in SETTLED or _is_suppressed(session, subject_hmac):
        return newest
    return None


def _is_suppressed(session: Session, subject_hmac: str) -> bool:
    return bool(suppressed_among(session, [subject_hmac]))


def journal_entry(request: ForgetRequest, selected: EventSelection | None = None) -> JournalEntry:
    """The request's entry in the erasure journal. Every process makes the same one.

    Args:
        selected: what the request selects; None if it is about the whole person.

    Raises:
        ValueError: nobody has verified it. Whoever reads the entry would suppress its subject.
    """
    if request.verify_until is not None:
        raise ValueError(f"request {request.id} has begun nothing: nobody has verified it")
    return JournalEntry(
        epoch=request.epoch,
        subject_hmac=request.subject_hmac,
        suppressed_at=request.received_at.isoformat(),
        request=request.id,
        selection=None if selected is None else selected.criteria,
        schema=2 if selected is None else 4,
    )


def create(
    transaction: Transaction,
    subject_hmac: str,
    requested_by: str,
    now: datetime,
    policy: RequestPolicy,
    asked: Asked,
    *,
    request_id: str | None = None,
    criteria: Criteria | None = None,
) -> Acceptance:
    request = store(transaction, subject_hmac, requested_by, now, policy, asked, criteria, request_id)
    return put_in_force(transaction, request, policy, now, criteria)


def store(
    transaction: Transaction,
    subject_hmac: str,
    requested_by: str,
    now: datetime,
    policy: RequestPolicy,
    asked: Asked,
    criteria: Criteria | None = None,
    request_id: str | None = None,
) -> ForgetRequest:
    """Store a request that has no effect yet.

    Raises:
        ValueError: the clock that was asked for cannot be set.
    """
    clock = policy.clock(asked.clock, now)
    request = ForgetRequest(
        id=request_id or f"fr_{uuid.uuid4().hex}",
        subject_hmac=subject_hmac,
        epoch=next_epoch(transaction.ledger),
        scope=RequestScope.USER if criteria is None else RequestScope.INTERACTIONS,
        status=CREATED,
        status_since=transaction.now(),
        since_status=CREATED,
        subject_commitment=asked.subject_commitment,
        reason=asked.reason,
        client_reference=asked.client_reference,
        requested_by=requested_by,
        received_at=now,
        regime=clock.regime,
        zone=clock.zone,
        clock_started_at=clock.started_at,
        due_at=clock.due_at,
        warned_percent=0,
    )
    plan_warning(request)
    transaction.session.add(request)
    return request


def renumbered(transaction: Transaction, request: ForgetRequest) -> ForgetRequest:
    """Give a request that waited the epoch of what begins now: replicas have read past the number that it had."""
    request.epoch = next_epoch(transaction.ledger)
    request.verify_until = request.asked_selection = None
    return request


def put_in_force(
    transaction: Transaction,
    request: ForgetRequest,
    policy: RequestPolicy,
    now: datetime,
    criteria: Criteria | None,
) -> Acceptance:
    """Verify a request. From here on its subject is suppressed, or the events that it selects are hidden.

    Raises:
        IllegalTransition: it was verified before, or is over.
    """
    session, commitment = transaction.session, request.subject_commitment
    move_on(transaction, request, RequestEvent.VERIFIED)
    request.subject_commitment = None
    selected = None
    if criteria is None:
        session.add(Suppression(epoch=request.epoch, subject_hmac=request.subject_hmac, suppressed_at=now))
    else:
        session.flush()
        selected = selections.begin(session, request, criteria)
    transaction.record(
        ForgetAccepted(
            request=request.id,
            epoch=request.epoch,
            due_at=request.due_at.isoformat(),
            subject=transaction.audit.subject_digest(request.subject_hmac),
            subject_commitment=commitment,
            scope=request.scope,
            selected_events=request.selected_events,
        ),
        actor=request.requested_by,
    )
    run_id = None if policy.approval else schedule(transaction, request, policy, now=now)
    return Acceptance(request, created=True, run_id=run_id, selected=selected)


def schedule(
    transaction: Transaction, request: ForgetRequest, policy: RequestPolicy, *, now: datetime
) -> str | None:
    """Approve a request, and queue it unless the policy has a cancel window.

    Returns:
        The id of the run that waits for it; None if the window must end first.
    """
    move_on(transaction, request, RequestEvent.APPROVED)
    request.cancel_until = policy.window_end(now)
    return end_window(transaction, request, now=now) if request.cancel_until is None else None


def end_window(transaction: Transaction, request: ForgetRequest, *, now: datetime) -> str:
    """Queue a scheduled request. Returns the id of the run that waits for it."""
    move_on(transaction, request, RequestEvent.WINDOW_ENDED)
    return ensure_queued_run(transaction.session, now, RUN_OF[RequestScope(request.scope)])


def has_ended_window(session: Session, now: datetime) -> bool:
    """Whether a scheduled request's cancel window is over."""
    over = select(ForgetRequest.id).where(_window_is_over(now)).limit(1)
    return session.scalar(over) is not None


def end_windows(transaction: Transaction, now: datetime) -> int:
    """Queue all scheduled requests whose cancel window is over. Returns how many."""
    over = transaction.session.scalars(select(ForgetRequest).where(_window_is_over(now))).all()
    for request in over:
        end_window(transaction, request, now=now)
        transaction.record(ForgetWindowEnded(request=request.id), actor="worker")
    return len(over)


def _window_is_over(now: datetime) -> ColumnElement[bool]:
    return and_(ForgetRequest.status == RequestStatus.SCHEDULED, ForgetRequest.cancel_until <= now)


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
