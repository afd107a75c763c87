"""POST /users/{id}/forget and POST /forget-requests, and the request they create."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.attempts import queries as attempts
from app.clock.deadlines import Regime
from app.db.clock import database_now
from app.db.models import ForgetRequest
from app.db.models.statuses import SETTLED
from app.dependencies import GatewayDependency
from app.errors import Problem, not_found
from app.fields import IdInPath
from app.forget_requests import queries as request_queries
from app.forget_requests import service as forget_requests
from app.forget_requests.schemas import (
    AcceptedView,
    ForgetBody,
    ForgetRequestDetail,
    ForgetRequestView,
    ForgetUserBody,
)
from app.forget_requests.service import Acceptance, Asked
from app.gateway import Gateway
from app.links import Links
from app.problem_schema import problems
from app.subjects import commitment
from app.versions.parts import of_request

router = APIRouter(tags=["forget"])

RequestId = Annotated[str, Path(pattern=r"^fr_[0-9a-f]{32}$")]
MayForget = Annotated[Caller, Depends(require(Scope.FORGET_CREATE))]
POLL_SECONDS = "2"
_ACCEPTED = problems(400) | {200: {"model": AcceptedView, "description": "A repeat of a completed request"}}


@router.post("/users/{user_id:path}/forget", status_code=HTTPStatus.ACCEPTED, responses=_ACCEPTED)
async def forget(
    user_id: Annotated[IdInPath, Path(description="percent-encoded, a slash in it as %2F")],
    response: Response,
    gateway: GatewayDependency,
    caller: MayForget,
    body: Annotated[ForgetBody | None, Body()] = None,
) -> AcceptedView:
    """Accept a request to be forgotten.

    Before this answers, the request, the suppression and the queued run are committed in one transaction. From then on
    this replica no longer personalises for the user, and every other replica stops within its feed lease. A repeat
    returns the existing request, with 202 until it is completed and with 200 afterwards; its deadline never moves. An
    unknown user gets the same answer, so that nobody can find out who is a user.

    A proxy that normalises paths can change an id that contains `/./` or `/../` into another one. Send such ids in the
    body of `POST /forget-requests`.
    """
    accepted, now = await gateway.write(partial(_accept, gateway, caller, user_id, body or ForgetBody()))
    return _answer(accepted, response, gateway, user_id, now)


@router.post("/forget-requests", status_code=HTTPStatus.ACCEPTED, responses=_ACCEPTED)
async def forget_user_in_body(
    body: ForgetUserBody, response: Response, gateway: GatewayDependency, caller: MayForget
) -> AcceptedView:
    """Like `POST /users/{user_id}/forget`, but with the id in the body. This takes any id, and no path contains it."""
    accepted, now = await gateway.write(partial(_accept, gateway, caller, body.user_id, body))
    return _answer(accepted, response, gateway, body.user_id, now)


@router.get("/forget-requests/{request_id:path}", responses=problems(404))
def read(
    request_id: RequestId,
    response: Response,
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.FORGET_READ))],
) -> ForgetRequestDetail:
    """Read a request: its state, what it waits for and until when, and every attempt that was made for it."""
    with gateway.database.read() as session:
        request = request_queries.find(session, request_id)
        if request is None:
            raise not_found("forget request")
        tried, now = attempts.of_request(session, request.id), database_now(session)
        left_out = attempts.skipped_for_request(session, request.id)
        parts = of_request(session, request, gateway.surroundings)
    describe(request, response)
    return ForgetRequestDetail.with_attempts(request, tried, left_out, gateway.links, now, parts)


def _accept(gateway: Gateway, caller: Caller, user_id: str, body: ForgetBody) -> tuple[Acceptance, datetime]:
    subject = gateway.subject_key.subject(user_id)
    with gateway.transaction() as transaction:
        now = transaction.now()
        if body.regime is Regime.POLICY and gateway.request_policy.days is None:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "validation-failed",
                "The request policy of this service has no days of its own.",
            )
        accept = (
            forget_requests.accept
            if body.interactions is None
            else partial(forget_requests.accept_selection, criteria=body.interactions.criteria(subject, now))
        )
        accepted = accept(
            transaction,
            subject_hmac=subject,
            requested_by=caller.name,
            now=now,
            policy=gateway.request_policy,
            asked=Asked(
                reason=body.reason,
                client_reference=body.client_reference,
                clock=body.clock,
                subject_commitment=commitment(gateway.subject_key.receipt_salt(user_id), user_id),
            ),
        )
    if accepted.created:
        if accepted.selected is None:
            gateway.engine.suppress(accepted.request.epoch, subject)
        gateway.after_acceptance(accepted)
    return accepted, now


def _answer(
    accepted: Acceptance, response: Response, gateway: Gateway, user_id: str, now: datetime
) -> AcceptedView:
    request = accepted.request
    if not accepted.created:
        response.headers["Forget-Request-Existing"] = "true"
    if request.status in SETTLED:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = gateway.links.request(request.id)
    view = _view(request, response, gateway.links, now)
    return AcceptedView(**view.model_dump(), receipt_salt=gateway.subject_key.receipt_salt(user_id))


def _view(request: ForgetRequest, response: Response, links: Links, now: datetime) -> ForgetRequestView:
    describe(request, response)
    return ForgetRequestView.of(request, links, now)


def describe(request: ForgetRequest, response: Response) -> None:
    """Say when to ask again, in the headers."""
    if request.status not in SETTLED:
        response.headers["Retry-After"] = POLL_SECONDS
