"""POST /users/{id}/forget and POST /forget-requests, and the request they create."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Path, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.attempts import queries as attempts
from app.audit.transaction import Transaction
from app.clock.deadlines import Regime
from app.db.clock import database_now
from app.db.models import ForgetRequest
from app.db.models.statuses import SETTLED
from app.dependencies import GatewayDependency
from app.entity_tags import matches, tag_of
from app.errors import Problem, not_found
from app.fields import IdInPath
from app.forget_requests import duties, verification
from app.forget_requests import queries as request_queries
from app.forget_requests import service as forget_requests
from app.forget_requests.schemas import (
    ForgetBody,
    ForgetRequestDetail,
    ForgetRequestView,
    ForgetUserBody,
)
from app.forget_requests.service import Acceptance, Asked
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.runs import forecast
from app.subjects import SubjectKey, commitment
from app.targets import service as targets
from app.versions.parts import of_request

router = APIRouter(tags=["forget"], route_class=JsonRoute)

RequestId = Annotated[str, Path(pattern=r"^fr_[0-9a-f]{32}$")]
MayForget = Annotated[Caller, Depends(require(Scope.FORGET_CREATE, own=True))]
POLL_SECONDS = "2"
# Opens the commitment to the user's id in receipts. A header, because no answer that is kept may hold it.
RECEIPT_SALT = "Lethe-Receipt-Salt"
# What of a request changes without anything happening.
_PASSING = ("seconds_left", "predicted_completion")
_TAGGED = {"ETag": {"schema": {"type": "string"}, "description": "names this state of the request"}}
_SALTED = {
    RECEIPT_SALT: {"schema": {"type": "string"}, "description": "opens the receipts' commitment to the id"}
}
_ACCEPTED: dict[int | str, dict[str, Any]] = problems(400, 409) | {
    200: {
        "model": ForgetRequestView,
        "description": "A repeat of a request that is over",
        "headers": _SALTED,
    },
    202: {"headers": _SALTED},
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

    What an end user sends waits as `pending_verification`, where the request policy wants that: then nothing has begun.

    A proxy that normalises paths can change an id that contains `/./` or `/../` into another one. Send such ids in the
    body of `POST /forget-requests`.
    """
    return await _forget(gateway, once, caller, user_id, body or ForgetBody())


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
    return await _forget(gateway, once, caller, body.user_id, body)


@router.get(
    "/forget-requests/{request_id:path}",
    response_model=ForgetRequestDetail,
    responses=problems(404)
    | {
        200: {"headers": _TAGGED},
        304: {"description": "Nothing has changed but the time that is left", "headers": _TAGGED},
    },
)
def read(
    request_id: RequestId,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_READ, own=True))],
    if_none_match: Annotated[
        str | None,
        Header(max_length=1024, description="the `ETag` of an earlier answer: 304 if it still holds"),
    ] = None,
) -> Response:
    """Read a request: its state, what it waits for and until when, and every attempt that was made for it.

    `ETag` does not count what passes by itself: `seconds_left` and `predicted_completion`.
    """
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
        told = targets.of_request(session, request.id)
        owed = duties.of_request(session, request, told)
        expected = forecast.of_request(
            session, request, now, requests_per_run=gateway.settings.max_subjects_per_run
        )
    detail = ForgetRequestDetail.with_attempts(
        request, tried, left_out, gateway.links, now, gateway.request_policy, owed, parts, told, expected
    )
    headers = poll_headers(request) | {"ETag": tag_of(detail, without=_PASSING)}
    if matches(if_none_match, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return respond(detail, headers=headers)


async def _forget(
    gateway: Gateway, once: OnceRequest, caller: Caller, user_id: str, body: ForgetBody
) -> Response:
    answer = await once.write(partial(_accept, gateway, once, caller, user_id, body))
    if answer.status_code in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        answer.headers[RECEIPT_SALT] = gateway.subject_key.receipt_salt(user_id)
    return answer


def _accept(gateway: Gateway, once: OnceRequest, caller: Caller, user_id: str, body: ForgetBody) -> Response:
    subject = gateway.subject_key.subject(user_id)
    if not caller.acts_for(subject):
        raise Problem(HTTPStatus.FORBIDDEN, "not-requester", "A user's token is good for that user only.")
    if body.regime is Regime.POLICY and gateway.request_policy.days is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "validation-failed",
            "The request policy of this service has no days of its own.",
        )
    waits = caller.subject is not None and gateway.request_policy.verification_hours > 0
    asked = asked_by(gateway.subject_key, user_id, body)

    def accept(transaction: Transaction) -> tuple[Acceptance, Response]:
        now = transaction.now()
        criteria = None if body.interactions is None else body.interactions.criteria(subject, now)
        receive = forget_requests.accept
        if waits:
            receive = partial(verification.receive, criteria=criteria)
        elif criteria is not None:
            receive = partial(forget_requests.accept_selection, criteria=criteria)
        accepted = receive(
            transaction,
            subject_hmac=subject,
            requested_by=caller.name,
            now=now,
            policy=gateway.request_policy,
            asked=asked,
        )
        return accepted, once.keep(transaction, _answer(accepted, gateway, now))

    if body.interactions is None:
        accepted, answer = once.write_grouped(subject, accept)
    else:
        # It reads the person's events, which may take a while: nobody else waits for that.
        with once.transaction() as transaction:
            accepted, answer = accept(transaction)
    if accepted.began:
        if accepted.selected is None:
            gateway.engine.suppress(accepted.request.epoch, subject)
        gateway.after_acceptance(accepted)
    return answer


def asked_by(key: SubjectKey, user_id: str, body: ForgetBody) -> Asked:
    """What the body of a request says, with the commitment to the user's id."""
    return Asked(
        reason=body.reason,
        client_reference=body.client_reference,
        clock=body.clock,
        subject_commitment=commitment(key.receipt_salt(user_id), user_id),
    )


def _answer(accepted: Acceptance, gateway: Gateway, now: datetime) -> Response:
    request = accepted.request
    where = gateway.links.request(request.id)
    headers = {"Location": where, "Operation-Location": where}
    if not accepted.created:
        headers["Forget-Request-Existing"] = "true"
    status = HTTPStatus.OK if request.status in SETTLED else HTTPStatus.ACCEPTED
    view = ForgetRequestView.of(request, gateway.links, now, gateway.request_policy)
    return respond(view, status, {**headers, **poll_headers(request)})


def poll_headers(request: ForgetRequest) -> dict[str, str]:
    """When to ask again, unless the request is over."""
    return {} if request.status in SETTLED else {"Retry-After": POLL_SECONDS}
