"""POST /forget-requests/{id}/…: what people decide about a request, see `app.forget_requests.decisions`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.audit.transaction import Transaction
from app.db.models import ForgetRequest
from app.dependencies import GatewayDependency
from app.errors import Problem, not_found
from app.forget_requests import decisions
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Action, Decision, Refused, allowed
from app.forget_requests.endpoints import RequestId, poll_headers
from app.forget_requests.schemas import (
    CancelBody,
    DenyBody,
    ExpediteBody,
    ExtendBody,
    ForgetRequestView,
    HoldBody,
    ReadmitBody,
)
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.suppressions.service import journal_entry, record_of
from app.transitions import IllegalTransition
from model_store import JournalEntry

router = APIRouter(tags=["forget"], route_class=JsonRoute)

_PROBLEMS = problems(403, 404, 409)
_LIFTING = (Action.CANCEL, Action.DENY, Action.READMIT)
Decide = Callable[[Transaction, ForgetRequest, Decision], object]


@router.post(
    "/forget-requests/{request_id:path}/approve", response_model=ForgetRequestView, responses=_PROBLEMS
)
async def approve(
    request_id: RequestId,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_APPROVE))],
) -> Response:
    """Approve a request that the request policy holds back. Somebody else must have sent it."""

    def decide(transaction: Transaction, request: ForgetRequest, decision: Decision) -> object:
        return decisions.approve(transaction, request, decision, gateway.request_policy)

    return await _decide(gateway, caller, request_id, Action.APPROVE, decide, once)


@router.post("/forget-requests/{request_id:path}/deny", response_model=ForgetRequestView, responses=_PROBLEMS)
async def deny(
    request_id: RequestId,
    body: DenyBody,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_DENY))],
) -> Response:
    """Deny a request. A second person must deny it with the same reason; then the suppression is lifted."""
    return await _decide(gateway, caller, request_id, Action.DENY, decisions.deny, once, reason=body.reason)


@router.post(
    "/forget-requests/{request_id:path}/cancel", response_model=ForgetRequestView, responses=_PROBLEMS
)
async def cancel(
    request_id: RequestId,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_CREATE, own=True))],
    body: Annotated[CancelBody | None, Body()] = None,
) -> Response:
    """Withdraw a request before a run has taken it; this lifts the suppression.

    The caller must have sent the request, or have the scope `forget:cancel`.
    """
    reason = (body or CancelBody()).reason
    return await _decide(gateway, caller, request_id, Action.CANCEL, cancel_by(caller), once, reason=reason)


@router.post("/forget-requests/{request_id:path}/hold", response_model=ForgetRequestView, responses=_PROBLEMS)
async def hold(
    request_id: RequestId,
    body: HoldBody,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_HOLD))],
) -> Response:
    """Stop a request before a run takes it. The suppression stays, and so does the deadline."""
    decide = partial(decisions.hold, review_at=body.review_at)
    return await _decide(gateway, caller, request_id, Action.HOLD, decide, once, reason=body.reason)


@router.post(
    "/forget-requests/{request_id:path}/release", response_model=ForgetRequestView, responses=_PROBLEMS
)
async def release(
    request_id: RequestId,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_HOLD))],
) -> Response:
    """End a hold. The request goes on where it was stopped."""
    return await _decide(gateway, caller, request_id, Action.RELEASE, decisions.release, once)


@router.post(
    "/forget-requests/{request_id:path}/readmit", response_model=ForgetRequestView, responses=_PROBLEMS
)
async def readmit(
    request_id: RequestId,
    body: ReadmitBody,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.SUPPRESSION_LIFT))],
) -> Response:
    """Let somebody come back who was forgotten and has consented anew. A second person must say so too.

    Only events after that moment are stored. Nothing old comes back, and the record of the erasure stays true.
    """
    return await _decide(
        gateway, caller, request_id, Action.READMIT, decisions.readmit, once, reason=body.reason
    )


@router.post(
    "/forget-requests/{request_id:path}/extend", response_model=ForgetRequestView, responses=_PROBLEMS
)
async def extend(
    request_id: RequestId,
    body: ExtendBody,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_EXTEND))],
) -> Response:
    """Move the deadline to the legal limit: once, before it has passed, and after the person was told."""
    decide = partial(decisions.extend, policy=gateway.request_policy)
    return await _decide(gateway, caller, request_id, Action.EXTEND, decide, once, reason=body.reason)


@router.post(
    "/forget-requests/{request_id:path}/expedite", response_model=ForgetRequestView, responses=_PROBLEMS
)
async def expedite(
    request_id: RequestId,
    body: ExpediteBody,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_EXPEDITE))],
) -> Response:
    """Put a request before the others. If its cancel window is open, it ends."""
    return await _decide(
        gateway, caller, request_id, Action.EXPEDITE, decisions.expedite, once, reason=body.reason
    )


@router.post(
    "/forget-requests/{request_id:path}/retry",
    status_code=HTTPStatus.ACCEPTED,
    response_model=ForgetRequestView,
    responses=problems(404, 409),
)
async def retry(
    request_id: RequestId,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_RETRY))],
) -> Response:
    """Queue a request that needs attention again. Its id, its deadline and its earlier attempts are kept."""

    def decide(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
        forget_requests.retry(transaction, request.id, actor=decision.actor, now=decision.now)

    return await _decide(gateway, caller, request_id, Action.RETRY, decide, once)


def cancel_by(caller: Caller) -> Decide:
    """How this caller cancels a request."""

    def decide(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
        if request.requested_by != caller.name and Scope.FORGET_CANCEL not in caller.scopes:
            raise Refused(
                "not-requester", "Only who sent a request may cancel it, or a key with forget:cancel."
            )
        decisions.cancel(transaction, request, decision)

    return decide


async def _decide(
    gateway: Gateway,
    caller: Caller,
    request_id: str,
    action: Action,
    decide: Decide,
    once: OnceRequest,
    *,
    reason: str = "",
) -> Response:
    return await once.write(partial(_carry_out, gateway, once, caller, request_id, action, decide, reason))


def _carry_out(
    gateway: Gateway,
    once: OnceRequest,
    caller: Caller,
    request_id: str,
    action: Action,
    decide: Decide,
    reason: str,
) -> Response:
    with once.transaction() as transaction:
        now = transaction.now()
        request = decide_about(transaction, caller, request_id, action, decide, reason=reason)
        status = HTTPStatus.ACCEPTED if action is Action.RETRY else HTTPStatus.OK
        view = ForgetRequestView.of(request, gateway.links, now, gateway.request_policy)
        answer = once.keep(transaction, respond(view, status, poll_headers(request)))
        entry = lift_by(transaction, request, action)
    follow(gateway, entry)
    return answer


def decide_about(
    transaction: Transaction,
    caller: Caller,
    request_id: str,
    action: Action,
    decide: Decide,
    *,
    reason: str,
) -> ForgetRequest:
    """Decide about a request. Commit afterwards, then call `follow`.

    Raises:
        Problem: 404, there is no such request; 403, this caller may not do it; 409, not in this state.
    """
    now = transaction.now()
    request = transaction.session.get(ForgetRequest, request_id, with_for_update=True)
    if request is None or not caller.acts_for(request.subject_hmac):
        raise not_found("forget request")
    try:
        decide(transaction, request, Decision(caller.name, now, reason))
    except IllegalTransition as error:
        raise _illegal(action, request, now) from error
    except Refused as error:
        forbidden = error.code in ("second-person-required", "not-requester")
        raise Problem(
            HTTPStatus.FORBIDDEN if forbidden else HTTPStatus.CONFLICT,
            error.code,
            str(error),
            status_now=request.status,
            allowed=allowed(request, now),
        ) from error
    return request


def lift_by(transaction: Transaction, request: ForgetRequest, action: Action) -> JournalEntry | None:
    """The journal's entry if this decision has lifted what the request began.

    A first person's denial or readmission lifts nothing yet.
    """
    lifted_at = request.readmitted_at if action is Action.READMIT else request.withdrawn_at
    if action not in _LIFTING or lifted_at is None or request.verify_until is not None:
        return None
    return journal_entry(record_of(transaction.session, request), request.id)


def follow(gateway: Gateway, entry: JournalEntry | None) -> None:
    """Start what follows a decision after its commit: the journal, and the runs that wait."""
    if entry is not None:
        gateway.after_lift(entry)
    gateway.ring_queued_run()


def _illegal(action: Action, request: ForgetRequest, now: datetime) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT,
        "illegal-transition",
        f"A request that is {request.status} cannot be changed by {action}.",
        status_now=request.status,
        allowed=allowed(request, now),
    )
