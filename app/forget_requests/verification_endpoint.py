"""POST /forget-requests/{id}/verify: somebody says that the person has asked."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.audit.transaction import Transaction
from app.db.models import ForgetRequest
from app.dependencies import GatewayDependency
from app.forget_requests.decision_endpoints import decide_about
from app.forget_requests.decisions import Action, Decision
from app.forget_requests.endpoints import RequestId, poll_headers
from app.forget_requests.schemas import ForgetRequestView, VerificationMethod, VerifyBody
from app.forget_requests.service import Acceptance
from app.forget_requests.verification import verify as carry_out
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.json_bodies import JsonRoute
from app.problem_schema import problems

router = APIRouter(tags=["forget"], route_class=JsonRoute)


@router.post(
    "/forget-requests/{request_id:path}/verify",
    response_model=ForgetRequestView,
    responses=problems(403, 404, 409),
)
async def verify(
    request_id: RequestId,
    body: VerifyBody,
    once: Once,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_VERIFY))],
) -> Response:
    """Say that you have made sure that the person has asked, and how. From then on the person is suppressed."""
    return await once.write(partial(_verify, gateway, once, caller, request_id, body.method))


def _verify(
    gateway: Gateway, once: OnceRequest, caller: Caller, request_id: str, method: VerificationMethod
) -> Response:
    with once.transaction() as transaction:
        accepted = verify_by(gateway, transaction, caller, request_id, method)
        request = accepted.request
        view = ForgetRequestView.of(request, gateway.links, transaction.now(), gateway.request_policy)
        answer = once.keep(transaction, respond(view, HTTPStatus.OK, poll_headers(request)))
    begin(gateway, accepted)
    return answer


def verify_by(
    gateway: Gateway, transaction: Transaction, caller: Caller, request_id: str, method: str
) -> Acceptance:
    """Verify a request. Commit afterwards, then call `begin`.

    Raises:
        Problem: as `decide_about` does.
    """
    found: list[Acceptance] = []

    def decide(transaction: Transaction, request: ForgetRequest, decision: Decision) -> None:
        found.append(carry_out(transaction, request, decision, gateway.request_policy))

    decide_about(transaction, caller, request_id, Action.VERIFY, decide, reason=method)
    return found[0]


def begin(gateway: Gateway, accepted: Acceptance) -> None:
    """Start what follows an acceptance after its commit."""
    if accepted.selected is None:
        gateway.engine.suppress(accepted.request.epoch, accepted.request.subject_hmac)
    gateway.after_acceptance(accepted)
