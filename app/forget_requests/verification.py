"""Who asks? An end user's request waits for somebody who has made sure, where the request policy wants that (R-9).

Lethe cannot reach a person. Whoever can (the company's portal, a colleague on the telephone) makes sure in a way of
their own and says so; docs/adr/0028 says why there are no codes. Until then the request suppresses nobody, hides
nothing, and stands in the way of no other request. It ends when another one has forgotten the person, not sooner.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from app.audit.decision_events import ForgetReceived, ForgetVerified
from app.audit.transaction import Transaction
from app.db.models import ForgetRequest
from app.forget_requests import service
from app.forget_requests.decisions import Decision, Refused
from app.forget_requests.policy import RequestPolicy
from app.forget_requests.service import NOTHING_ELSE, Acceptance, Asked
from app.forget_requests.states import REQUESTS, RequestEvent
from app.forget_requests.unverified import criteria_of, waiting_request
from app.selections.criteria import Criteria
from app.suppressions.queries import suppressed_among


def receive(
    transaction: Transaction,
    *,
    subject_hmac: str,
    requested_by: str,
    now: datetime,
    policy: RequestPolicy,
    asked: Asked = NOTHING_ELSE,
    criteria: Criteria | None = None,
) -> Acceptance:
    """Store a request that waits for its verification. A request that asks for the same is returned instead.

    Its deadline counts from now: the law's clock does not wait for Lethe to know who asks.

    Args:
        criteria: what the request selects; None if it is about the whole person.

    Raises:
        ValueError: the clock that was asked for cannot be set.
    """
    existing = service.repeated(transaction.session, subject_hmac, criteria) or waiting_request(
        transaction.session, subject_hmac, criteria
    )
    if existing is not None:
        return Acceptance(existing, created=False, run_id=None)
    request = service.store(transaction, subject_hmac, requested_by, now, policy, asked, criteria)
    request.verify_until = now + timedelta(hours=policy.verification_hours)
    request.asked_selection = None if criteria is None else criteria.to_plain()
    transaction.record(
        ForgetReceived(
            request=request.id,
            due_at=request.due_at.isoformat(),
            verify_until=request.verify_until.isoformat(),
        ),
        actor=requested_by,
    )
    return Acceptance(request, created=True, run_id=None)


def verify(
    transaction: Transaction, request: ForgetRequest, decision: Decision, policy: RequestPolicy
) -> Acceptance:
    """Say that the person has asked for this. It goes on like any other request, and the suppression begins.

    Raises:
        IllegalTransition: it does not wait for that.
        Refused: the same person has asked for it, or its subject is suppressed for another request already. That one
            is completed, and supersedes this one; or it is withdrawn, and then this one can be verified.
    """
    REQUESTS.after(request.status, RequestEvent.VERIFIED)
    if decision.actor == request.requested_by:
        raise Refused("second-person-required", "Somebody else than who sent the request must verify it.")
    if suppressed_among(transaction.session, [request.subject_hmac]):
        raise Refused("another-in-force", "Another request about the whole person is in force.")
    criteria = None if request.asked_selection is None else criteria_of(request)
    transaction.record(ForgetVerified(request=request.id, method=decision.reason), actor=decision.actor)
    request = service.renumbered(transaction, request)
    return service.put_in_force(transaction, request, policy, decision.now, criteria)
