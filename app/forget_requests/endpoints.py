"""POST /users/{id}/forget, and the request it creates."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Body, Depends, Path, Response

from app.authentication import Caller, require
from app.db import attempts, forget_requests
from app.db.api_keys import Scope
from app.db.base import utc_now
from app.db.models import ForgetRequest, RequestStatus
from app.dependencies import GatewayDependency
from app.errors import Problem, not_found
from app.forget_requests.schemas import ForgetBody, ForgetRequestDetail, ForgetRequestView
from app.subjects import USER_ID_PATTERN

router = APIRouter(tags=["forget"])

UserId = Annotated[
    str, Path(pattern=USER_ID_PATTERN, description="1 to 128 letters, digits or . _ ~ : @ -; taken as it is")
]
RequestId = Annotated[str, Path(pattern=r"^fr_[0-9a-f]{32}$")]
POLL_SECONDS = "2"


@router.post("/users/{user_id}/forget", status_code=HTTPStatus.ACCEPTED)
def forget(
    user_id: UserId,
    response: Response,
    background: BackgroundTasks,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_CREATE))],
    body: Annotated[ForgetBody | None, Body()] = None,
) -> ForgetRequestView:
    """Accept a request to be forgotten.

    When this answers, the request, the suppression and the queued run are committed together; from here on this
    replica no longer personalises for the user, and every other one stops within its feed lease. A repeat returns
    the request there is, with 202 while it runs and 200 once it is completed; its deadline never moves. An unknown
    user gets the same answer, so that nobody can ask who is a user.
    """
    body = body or ForgetBody()
    subject = gateway.subject_key.subject(user_id)
    now = utc_now()
    with gateway.database.unit_of_work() as session:
        accepted = forget_requests.accept(
            session,
            gateway.audit,
            subject_hmac=subject,
            requested_by=caller.name,
            now=now,
            reason=body.reason,
            client_reference=body.client_reference,
        )
    request = accepted.request
    if accepted.created:
        gateway.engine.suppress(request.epoch, subject)
        background.add_task(gateway.after_acceptance, accepted)
    else:
        response.headers["Forget-Request-Existing"] = "true"
    if request.status == RequestStatus.COMPLETED:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = f"/forget-requests/{request.id}"
    return _view(request, response)


@router.get("/forget-requests/{request_id}")
def read(
    request_id: RequestId,
    response: Response,
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.FORGET_READ))],
) -> ForgetRequestDetail:
    """Where a request stands, what it waits for and until when, and every attempt that was made for it."""
    with gateway.database.read() as session:
        request = forget_requests.find(session, request_id)
        if request is None:
            raise not_found("forget request")
        tried = attempts.of_request(session, request)
    _describe(request, response)
    return ForgetRequestDetail.with_attempts(request, tried)


@router.post("/forget-requests/{request_id}/retry", status_code=HTTPStatus.ACCEPTED)
def retry(
    request_id: RequestId,
    response: Response,
    background: BackgroundTasks,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_RETRY))],
) -> ForgetRequestView:
    """Queue a request that needs attention again: same request, same clock, earlier attempts kept."""
    now = utc_now()
    with gateway.database.unit_of_work() as session:
        before = forget_requests.find(session, request_id)
        status_before = before.status if before else None
        request = forget_requests.retry(session, gateway.audit, request_id, actor=caller.name, now=now)
    if request is None:
        raise not_found("forget request")
    if status_before != RequestStatus.NEEDS_ATTENTION:
        raise Problem(
            HTTPStatus.CONFLICT,
            "illegal-transition",
            "Only a request that needs attention can be retried.",
            status_now=request.status,
        )
    background.add_task(gateway.ring_queued_run)
    return _view(request, response)


def _view(request: ForgetRequest, response: Response) -> ForgetRequestView:
    _describe(request, response)
    return ForgetRequestView.of(request)


def _describe(request: ForgetRequest, response: Response) -> None:
    if request.status != RequestStatus.COMPLETED:
        response.headers["Retry-After"] = POLL_SECONDS
    response.headers["Cache-Control"] = "no-store"
