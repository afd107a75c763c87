"""What people decide about a request: approve, deny, hold, release, cancel, extend, expedite, readmit. Who verifies it
does so in `verification`.

Each of these locks the ledger first, as the claim of a run does. So a decision and a claim never pass each other: what
a run has taken can no longer be stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.audit.decision_events import (
    ForgetApproved,
    ForgetCancelled,
    ForgetDenialProposed,
    ForgetDenied,
    ForgetExpedited,
    ForgetExtended,
    ForgetHeld,
    ForgetReleased,
    ReadmissionProposed,
)
from app.audit.transaction import Transaction
from app.clock.deadlines import ExtensionRefused, Regime, extended
from app.clock.deadlines import Refused as NotExtended
from app.db.models import ForgetRequest, RequestScope, RequestStatus
from app.db.models.statuses import SETTLED
from app.forget_requests.deadlines import restart_warnings
from app.forget_requests.moves import move_on
from app.forget_requests.policy import WITHOUT_STEPS, RequestPolicy
from app.forget_requests.service import end_window, schedule
from app.forget_requests.states import REQUESTS, RequestEvent
from app.runs.service import ensure_queued_run
from app.runs.states import RUN_OF
from app.suppressions.service import LiftedBecause, lift
from app.transitions import IllegalTransition


class Action(StrEnum):
    """What a person may do with a request."""

    VERIFY = "verify"
    APPROVE = "approve"
    DENY = "deny"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"
    EXTEND = "extend"
    EXPEDITE = "expedite"
    RETRY = "retry"
    READMIT = "readmit"


class Refused(Exception):
    """A decision that this person may not take, or not now. ``code`` is the code of the problem in the API."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True)
class Decision:
    """Who decides, why, and when."""

    actor: str
    now: datetime
    reason: str = ""


# The action by which a person causes an event. Extending changes no state, and expediting may change none.
BY_EVENT: Mapping[RequestEvent, Action] = {
    RequestEvent.VERIFIED: Action.VERIFY,
    RequestEvent.APPROVED: Action.APPROVE,
    RequestEvent.CANCELLED: Action.CANCEL,
    RequestEvent.DENIED: Action.DENY,
    RequestEvent.HELD: Action.HOLD,
    RequestEvent.RELEASED: Action.RELEASE,
    RequestEvent.RELEASED_TO_APPROVAL: Action.RELEASE,
    RequestEvent.QUEUED_AGAIN: Action.RETRY,
    RequestEvent.READMITTED: Action.READMIT,
}
_NOT_EXTENDED = {
    NotExtended.ALREADY_EXTENDED: "The deadline was moved before.",
    NotExtended.PAST_DUE: "The deadline has passed.",
    NotExtended.NOT_ALLOWED: "The regime of the request allows no extension.",
}
_EXPEDITABLE = (RequestStatus.SCHEDULED, RequestStatus.QUEUED)


def allowed(request: ForgetRequest, now: datetime) -> list[Action]:
    """What may be done with the request now, by somebody with the rights."""
    found = {action for event, action in BY_EVENT.items() if request.status in REQUESTS.before(event)}
    if request.readmitted_at is not None or request.scope != RequestScope.USER:
        found.discard(Action.READMIT)
    if request.erased_at is not None:
        found -= {Action.CANCEL, Action.DENY}
    if request.status in _EXPEDITABLE and not request.expedited:
        found.add(Action.EXPEDITE)
    if may_extend(request, now):
        found.add(Action.EXTEND)
    return sorted(found)


def may_extend(request: ForgetRequest, now: datetime) -> bool:
    """Whether the deadline may still be moved: once, before it has passed, and while the request is open."""
    return request.extended_at is None and request.status not in SETTLED and now <= request.due_at


def approve(
    transaction: Transaction, request: ForgetRequest, decision: Decision, policy: RequestPolicy
) -> str | None:
    """Approve a request. Returns the run that waits for it; None if its cancel window must end first.

    Raises:
        IllegalTransition: it does not wait for approval.
        Refused: the same person has asked for it.
    """
    _require(request, RequestEvent.APPROVED)
    if decision.actor == request.requested_by:
        raise Refused("second-person-required", "Somebody else than who sent the request must approve it.")
    request.denial_proposed_by = request.denial_reason = None
    run_id = schedule(transaction, request, policy, now=decision.now)
    transaction.record(ForgetApproved(request=request.id), actor=decision.actor)
    return run_id


def deny(transaction: Transaction, request: ForgetRequest, decision: Decision) -> bool:
    """Deny a request, which takes two people who give the same reason. The denial lifts the suppression.

    Returns:
        Whether the request is denied now; False if a second person must deny it too.

    Raises:
        IllegalTransition: a run has taken the request, or it is over.
        Refused: the same person has denied it already.
    """
    _require(request, RequestEvent.DENIED)
    _require_data(request, RequestEvent.DENIED)
    first = request.denial_proposed_by
    if first == decision.actor:
        raise Refused("second-person-required", "A second person must deny the request.")
    if first is None or request.denial_reason != decision.reason:
        request.denial_proposed_by, request.denial_reason = decision.actor, decision.reason
        transaction.record(
            ForgetDenialProposed(request=request.id, reason=decision.reason), actor=decision.actor
        )
        return False
    move_on(transaction, request, RequestEvent.DENIED)
    _withdraw(transaction, request, LiftedBecause.DENIED, decision)
    transaction.record(ForgetDenied(request=request.id, reason=decision.reason), actor=decision.actor)
    return True


def cancel(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
    """Withdraw a request, at the person's own wish. This lifts the suppression.

    Raises:
        IllegalTransition: a run has taken the request, or it is over.
    """
    _require_data(request, RequestEvent.CANCELLED)
    move_on(transaction, request, RequestEvent.CANCELLED)
    _withdraw(transaction, request, LiftedBecause.CANCELLED, decision)
    transaction.record(ForgetCancelled(request=request.id, reason=decision.reason), actor=decision.actor)


def hold(
    transaction: Transaction, request: ForgetRequest, decision: Decision, *, review_at: datetime
) -> None:
    """Stop a request, for example because the data are evidence. Suppression and deadline stay as they are.

    Raises:
        IllegalTransition: a run has taken the request, or it is over.
        Refused: the review is not in the future.
    """
    _require(request, RequestEvent.HELD)
    if review_at <= decision.now:
        raise Refused("review-in-the-past", "review_at must be in the future.")
    request.held_from, request.review_at = request.status, review_at
    move_on(transaction, request, RequestEvent.HELD)
    transaction.record(
        ForgetHeld(request=request.id, reason=decision.reason, review_at=review_at.isoformat()),
        actor=decision.actor,
    )


def release(transaction: Transaction, request: ForgetRequest, decision: Decision) -> str | None:
    """End a hold. The request goes back to its approval, or to what is left of its cancel window.

    Returns:
        The run that waits for the request; None if something else comes first.

    Raises:
        IllegalTransition: it is not on hold.
    """
    approved = request.held_from != RequestStatus.PENDING_APPROVAL
    event = RequestEvent.RELEASED if approved else RequestEvent.RELEASED_TO_APPROVAL
    move_on(transaction, request, event)
    request.held_from = request.review_at = None
    transaction.record(ForgetReleased(request=request.id), actor=decision.actor)
    if approved and (request.cancel_until is None or request.cancel_until <= decision.now):
        return end_window(transaction, request, now=decision.now)
    return None


def extend(
    transaction: Transaction,
    request: ForgetRequest,
    decision: Decision,
    policy: RequestPolicy = WITHOUT_STEPS,
) -> None:
    """Move the deadline to the legal limit of its regime, once. Only a person does this, never a retry or a failure
    (I11).

    Raises:
        Refused: the deadline was moved before, or has passed; the regime allows no extension; or the request is over.
    """
    if request.status in SETTLED:
        raise Refused("not-extendable", "The request is over.")
    before = request.due_at
    regime = Regime(request.regime)
    try:
        request.due_at = extended(
            regime,
            request.clock_started_at or request.received_at,
            request.zone,
            due=before,
            now=decision.now,
            already=request.extended_at is not None,
            policy_days=policy.extended_days if regime is Regime.POLICY else None,
        )
    except ExtensionRefused as error:
        raise Refused("not-extendable", _NOT_EXTENDED[error.reason]) from error
    request.extended_at = decision.now
    restart_warnings(request, decision.now)
    transaction.record(
        ForgetExtended(
            request=request.id,
            reason=decision.reason,
            before=before.isoformat(),
            due_at=request.due_at.isoformat(),
        ),
        actor=decision.actor,
    )


def expedite(transaction: Transaction, request: ForgetRequest, decision: Decision) -> str:
    """Put a request before the others, and end its cancel window. Returns the run that waits for it.

    Raises:
        IllegalTransition: it neither is scheduled nor waits in the queue, or goes first already.
    """
    if request.status not in _EXPEDITABLE or request.expedited:
        raise IllegalTransition(request.status, Action.EXPEDITE)
    request.expedited = True
    transaction.record(ForgetExpedited(request=request.id, reason=decision.reason), actor=decision.actor)
    if request.status == RequestStatus.SCHEDULED:
        request.cancel_until = decision.now
        return end_window(transaction, request, now=decision.now)
    return ensure_queued_run(transaction.session, decision.now, RUN_OF[RequestScope(request.scope)])


def readmit(transaction: Transaction, request: ForgetRequest, decision: Decision) -> bool:
    """Lift the suppression of somebody who was forgotten and comes back, which takes two people.

    The request stays completed: what was erased stays erased, and only events after this moment are stored
    (`app.interactions.service.ingest`).

    Returns:
        Whether the person is back; False if a second person must say so too.

    Raises:
        IllegalTransition: the request is not completed, or its subject is back already.
        Refused: the same person has said so already.
    """
    if request.readmitted_at is not None or request.scope != RequestScope.USER:
        raise IllegalTransition(request.status, RequestEvent.READMITTED)
    move_on(transaction, request, RequestEvent.READMITTED)
    if request.readmission_proposed_by == decision.actor:
        raise Refused("second-person-required", "A second person must readmit somebody who was forgotten.")
    if request.readmission_proposed_by is None:
        request.readmission_proposed_by = decision.actor
        transaction.record(
            ReadmissionProposed(request=request.id, reason=decision.reason), actor=decision.actor
        )
        return False
    request.readmitted_at = decision.now
    lift(transaction, request, LiftedBecause.READMITTED, actor=decision.actor, now=decision.now)
    return True


def _withdraw(
    transaction: Transaction, request: ForgetRequest, because: LiftedBecause, decision: Decision
) -> None:
    request.withdrawn_at, request.detail_code = decision.now, None
    request.held_from = request.review_at = None
    # What nobody has verified has suppressed nobody.
    if request.verify_until is None:
        lift(transaction, request, because, actor=decision.actor, now=decision.now)


def _require(request: ForgetRequest, event: RequestEvent) -> None:
    REQUESTS.after(request.status, event)


def _require_data(request: ForgetRequest, event: RequestEvent) -> None:
    """Once the data are deleted, only a readmission lifts the suppression: an import must not bring them back."""
    if request.erased_at is not None:
        raise IllegalTransition(request.status, event)
