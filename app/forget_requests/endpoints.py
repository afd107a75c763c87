"""POST /users/{id}/forget and POST /forget-requests, and the request they create."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.attempts import queries as attempts
from app.db.clock import database_now
from app.db.models import ForgetRequest, RequestStatus
from app.dependencies import GatewayDependency
from app.errors import Problem, not_found
from app.fields import IdInPath
from app.forget_requests import queries as request_queries
from app.forget_requests import service as forget_requests
from app.forget_requests.schemas import ForgetBody, ForgetRequestDetail, ForgetRequestView, ForgetUserBody
from app.forget_requests.service import Acceptance
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.links import Links
from app.problem_schema import problems
from app.transitions import IllegalTransition
from app.versions.parts import of_request

router = APIRouter(tags=["forget"])

RequestId = Annotated[str, Path(pattern=r"^fr_[0-9a-f]{32}$")]
MayForget = Annotated[Caller, Depends(require(Scope.FORGET_CREATE, own=True))]
POLL_SECONDS = "2"
_ACCEPTED = problems(400, 409) | {
    200: {"model": ForgetRequestView, "description": "A repeat of a completed request"}
}


@router.post(
    "/users/{user_id:path}/forget",
    status_code=HTTPStatus.ACCEPTED,
    response_model=ForgetRequestView,
    responses=_ACCEPTED,
)
async def forget(
    user_id: Annotated[IdInPath, Path(description="percent-encoded, a slash in it as %2F")],
    gateway: GatewayDependency,
    caller: MayForget,
    once: Once,
    body: Annotated[ForgetBody | None, Body()] = None,
) -> Response:
    """Accept a request to be forgotten.

    Before this answers, the request, the suppression and the queued run are committed in one transaction. From then on
    this replica no longer personalises for the user, and every other replica stops within its feed lease. A repeat
    returns the existing request, with 202 until it is completed and with 200 afterwards; its deadline never moves. An
    unknown user gets the same answer, so that nobody can find out who is a user.

    A proxy that normalises paths can change an id that contains `/./` or `/../` into another one. Send such ids in the
    body of `POST /forget-requests`.
    """
    return await once.write(partial(_accept, gateway, once, caller, user_id, body or ForgetBody()))


@router.post(
    "/forget-requests",
    status_code=HTTPStatus.ACCEPTED,
    response_model=ForgetRequestView,
    responses=_ACCEPTED,
)
async def forget_user_in_body(
    body: ForgetUserBody, gateway: GatewayDependency, caller: MayForget, once: Once
) -> Response:
    """Like `POST /users/{user_id}/forget`, but with the id in the body. This takes any id, and no path contains it."""
    return await once.write(partial(_accept, gateway, once, caller, body.user_id, body))


@router.post(
    "/forget-requests/{request_id:path}/retry",
    status_code=HTTPStatus.ACCEPTED,
    response_model=ForgetRequestView,
    responses=problems(404, 409),
)
async def retry(
    request_id: RequestId,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_RETRY))],
    once: Once,
) -> Response:
    """Queue a request that needs attention again. Its id, its deadline and its earlier attempts are kept."""
    return await once.write(partial(_retry, gateway, once, caller, request_id))


@router.get("/forget-requests/{request_id:path}", responses=problems(404))
def read(
    request_id: RequestId,
    response: Response,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_READ, own=True))],
) -> ForgetRequestDetail:
    """Read a request: its state, what it waits for and until when, and every attempt that was made for it."""
    with gateway.database.read() as session:
        request = request_queries.find(session, request_id)
        if request is None or not caller.acts_for(request.subject_hmac):
            raise not_found("forget request")
        tried, now = attempts.of_request(session, request.id), database_now(session)
        left_out = attempts.skipped_for_request(session, request.id)
        if caller.subject is not None:
            # How the service works and what it measures is for those who run it.
            tried, left_out = [], []
        parts = of_request(session, request, gateway.surroundings)
    response.headers.update(_poll_headers(request))
    return ForgetRequestDetail.with_attempts(request, tried, left_out, gateway.links, now, parts)


def _accept(gateway: Gateway, once: OnceRequest, caller: Caller, user_id: str, body: ForgetBody) -> Response:
    subject = gateway.subject_key.subject(user_id)
    if not caller.acts_for(subject):
        raise Problem(HTTPStatus.FORBIDDEN, "not-requester", "A user's token is good for that user only.")
    with once.transaction() as transaction:
        now = transaction.now()
        accepted = forget_requests.accept(
            transaction,
            subject_hmac=subject,
            requested_by=caller.name,
            now=now,
            reason=body.reason,
            client_reference=body.client_reference,
        )
        answer = once.keep(transaction, _answer(accepted, gateway.links, now))
    if accepted.created:
        gateway.engine.suppress(accepted.request.epoch, subject)
        gateway.after_acceptance(accepted)
    return answer


def _retry(gateway: Gateway, once: OnceRequest, caller: Caller, request_id: str) -> Response:
    try:
        with once.transaction() as transaction:
            now = transaction.now()
            request = forget_requests.retry(transaction, request_id, actor=caller.name, now=now)
            if request is None:
                raise not_found("forget request")
            answer = once.keep(transaction, _view(request, gateway.links, now))
    except IllegalTransition as error:
        raise Problem(
            HTTPStatus.CONFLICT,
            "illegal-transition",
            "Only a request that needs attention can be retried.",
            status_now=error.state,
        ) from error
    gateway.ring_queued_run()
    return answer


def _answer(accepted: Acceptance, links: Links, now: datetime) -> Response:
    request = accepted.request
    headers = {"Location": links.request(request.id)}
    if not accepted.created:
        headers["Forget-Request-Existing"] = "true"
    done = request.status == RequestStatus.COMPLETED
    return _view(request, links, now, HTTPStatus.OK if done else HTTPStatus.ACCEPTED, headers)


def _view(
    request: ForgetRequest,
    links: Links,
    now: datetime,
    status: HTTPStatus = HTTPStatus.ACCEPTED,
    headers: Mapping[str, str] | None = None,
) -> Response:
    return respond(
        ForgetRequestView.of(request, links, now), status, {**(headers or {}), **_poll_headers(request)}
    )


def _poll_headers(request: ForgetRequest) -> dict[str, str]:
    return {} if request.status == RequestStatus.COMPLETED else {"Retry-After": POLL_SECONDS}
