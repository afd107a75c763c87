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
from app.forget_requests.endpoints import RequestId, describe
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
from app.problem_schema import problems
from app.suppressions.service import journal_entry, record_of
from app.transitions import IllegalTransition

router = APIRouter(tags=["forget"])

_PROBLEMS = problems(403, 404, 409)
Decide = Callable[[Transaction, ForgetRequest, Decision], object]


@router.post("/forget-requests/{request_id:path}/approve", responses=_PROBLEMS)
async def approve(
    request_id: RequestId,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_APPROVE))],
) -> ForgetRequestView:
    """Approve a request that the request policy holds back. Somebody else must have sent it."""

    def decide(transaction: Transaction, request: ForgetRequest, decision: Decision) -> object:
        return decisions.approve(transaction, request, decision, gateway.request_policy)

    return await _decide(gateway, caller, request_id, Action.APPROVE, decide, response)


@router.post("/forget-requests/{request_id:path}/deny", responses=_PROBLEMS)
async def deny(
    request_id: RequestId,
    body: DenyBody,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_DENY))],
) -> ForgetRequestView:
    """Deny a request. A second person must deny it with the same reason; then the suppression is lifted."""
    return await _decide(
        gateway, caller, request_id, Action.DENY, decisions.deny, response, reason=body.reason
    )


@router.post("/forget-requests/{request_id:path}/cancel", responses=_PROBLEMS)
async def cancel(
    request_id: RequestId,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_CREATE))],
    body: Annotated[CancelBody | None, Body()] = None,
) -> ForgetRequestView:
    """Withdraw a request before a run has taken it; this lifts the suppression.

    The caller must have sent the request, or have the scope `forget:cancel`.
    """

    def decide(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
        if request.requested_by != caller.name and Scope.FORGET_CANCEL not in caller.scopes:
            raise Refused(
                "not-requester", "Only who sent a request may cancel it, or a key with forget:cancel."
            )
        decisions.cancel(transaction, request, decision)

    reason = (body or CancelBody()).reason
    return await _decide(gateway, caller, request_id, Action.CANCEL, decide, response, reason=reason)


@router.post("/forget-requests/{request_id:path}/hold", responses=_PROBLEMS)
async def hold(
    request_id: RequestId,
    body: HoldBody,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_HOLD))],
) -> ForgetRequestView:
    """Stop a request before a run takes it. The suppression stays, and so does the deadline."""
    decide = partial(decisions.hold, review_at=body.review_at)
    return await _decide(gateway, caller, request_id, Action.HOLD, decide, response, reason=body.reason)


@router.post("/forget-requests/{request_id:path}/release", responses=_PROBLEMS)
async def release(
    request_id: RequestId,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_HOLD))],
) -> ForgetRequestView:
    """End a hold. The request goes on where it was stopped."""
    return await _decide(gateway, caller, request_id, Action.RELEASE, decisions.release, response)


@router.post("/forget-requests/{request_id:path}/readmit", responses=_PROBLEMS)
async def readmit(
    request_id: RequestId,
    body: ReadmitBody,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.READMIT))],
) -> ForgetRequestView:
    """Let somebody come back who was forgotten and has consented anew. A second person must say so too.

    Only events after that moment are stored. Nothing old comes back, and the record of the erasure stays true.
    """
    return await _decide(
        gateway, caller, request_id, Action.READMIT, decisions.readmit, response, reason=body.reason
    )


@router.post("/forget-requests/{request_id:path}/extend", responses=_PROBLEMS)
async def extend(
    request_id: RequestId,
    body: ExtendBody,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_EXTEND))],
) -> ForgetRequestView:
    """Move the deadline to the legal limit: once, before it has passed, and after the person was told."""
    decide = partial(decisions.extend, policy=gateway.request_policy)
    return await _decide(gateway, caller, request_id, Action.EXTEND, decide, response, reason=body.reason)


@router.post("/forget-requests/{request_id:path}/expedite", responses=_PROBLEMS)
async def expedite(
    request_id: RequestId,
    body: ExpediteBody,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_EXPEDITE))],
) -> ForgetRequestView:
    """Put a request before the others. If its cancel window is open, it ends."""
    return await _decide(
        gateway, caller, request_id, Action.EXPEDITE, decisions.expedite, response, reason=body.reason
    )


@router.post(
    "/forget-requests/{request_id:path}/retry", status_code=HTTPStatus.ACCEPTED, responses=problems(404, 409)
)
async def retry(
    request_id: RequestId,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_RETRY))],
) -> ForgetRequestView:
    """Queue a request that needs attention again. Its id, its deadline and its earlier attempts are kept."""

    def decide(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
        forget_requests.retry(transaction, request.id, actor=decision.actor, now=decision.now)

    return await _decide(gateway, caller, request_id, Action.RETRY, decide, response)


async def _decide(
    gateway: Gateway,
    caller: Caller,
    request_id: str,
    action: Action,
    decide: Decide,
    response: Response,
    *,
    reason: str = "",
) -> ForgetRequestView:
    request, now = await gateway.write(
        partial(carry_out, gateway, caller.name, request_id, action, decide, reason=reason)
    )
    describe(request, response)
    return ForgetRequestView.of(request, gateway.links, now)


def carry_out(
    gateway: Gateway, actor: str, request_id: str, action: Action, decide: Decide, *, reason: str
) -> tuple[ForgetRequest, datetime]:
    """Decide about a request in one transaction, and start what follows. Returns the request and the time.

    Raises:
        Problem: 404, there is no such request; 403, this caller may not do it; 409, not in this state.
    """
    with gateway.transaction() as transaction:
        now = transaction.now()
        request = transaction.session.get(ForgetRequest, request_id, with_for_update=True)
        if request is None:
            raise not_found("forget request")
        try:
            decide(transaction, request, Decision(actor, now, reason))
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
        is_lifted = now in (request.withdrawn_at, request.readmitted_at)
        lifted = record_of(transaction.session, request) if is_lifted else None
    if lifted is not None:
        gateway.after_lift(journal_entry(lifted, request.id))
    gateway.ring_queued_run()
    return request, now


def _illegal(action: Action, request: ForgetRequest, now: datetime) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT,
        "illegal-transition",
        f"A request that is {request.status} cannot be changed by {action}.",
        status_now=request.status,
        allowed=allowed(request, now),
    )
