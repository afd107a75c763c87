"""/opendsr/…: intake, status, cancellation and discovery, as OpenDSR 2.0 has them."""

from __future__ import annotations

import base64
import json
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy.orm import Session

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.clock.deadlines import Regime
from app.db.models import ForgetRequest, RequestStatus
from app.dependencies import GatewayDependency
from app.errors import Problem, not_found
from app.forget_requests import service as forget_requests
from app.forget_requests.decision_endpoints import cancel_by, decide_about, follow, lift_by
from app.forget_requests.decisions import Action
from app.forget_requests.endpoints import RECEIPT_SALT
from app.forget_requests.policy import AskedClock
from app.forget_requests.schemas import CancelBody
from app.forget_requests.service import Asked
from app.gateway import Gateway
from app.idempotency.once import REPLAYED, Once, OnceRequest, respond
from app.json_bodies import JsonRoute
from app.opendsr import queries
from app.opendsr import service as opendsr
from app.opendsr.intake import asked_for, callbacks_of
from app.opendsr.schemas import (
    UUID,
    VERSION,
    CancellationReceived,
    Discovery,
    Received,
    RequestReceived,
    RequestStatusView,
    SubjectRequest,
    SupportedIdentity,
)
from app.opendsr.signing import Processor
from app.opendsr.states import STATES
from app.problem_schema import problems
from app.subjects import commitment

router = APIRouter(tags=["opendsr"], route_class=JsonRoute)

# What the routes of requests were called in version 1, which the specification wants to be kept.
_FORMER = "/opendsr/opengdpr_requests"


def _processor(gateway: GatewayDependency) -> Processor:
    if gateway.processor is None:
        raise Problem(
            HTTPStatus.NOT_FOUND, "opendsr-off", "OpenDSR is off: there is no LETHE_OPENDSR_CERTIFICATE."
        )
    return gateway.processor


ProcessorDependency = Annotated[Processor, Depends(_processor)]
MayRequest = Annotated[Caller, Depends(require(Scope.FORGET_CREATE))]
IdInPath = Annotated[str, Path(pattern=UUID)]


@router.post(_FORMER, status_code=HTTPStatus.CREATED, include_in_schema=False)
@router.post(
    "/opendsr/requests",
    status_code=HTTPStatus.CREATED,
    response_model=RequestReceived,
    responses=problems(400, 404, 409),
)
async def submit_subject_request(
    request: Request,
    gateway: GatewayDependency,
    caller: MayRequest,
    processor: ProcessorDependency,
    once: Once,
    body: SubjectRequest,
) -> Response:
    """Accept an erasure request of OpenDSR, and suppress its subject.

    The same `subject_request_id` from the same caller, for the same person, gets the same request again.
    """
    user_id = asked_for(body, gateway.settings.opendsr_identity)
    answer = await once.write(partial(_accept, gateway, once, caller, body, user_id))
    if answer.status_code != HTTPStatus.CREATED:
        return answer
    # Added now, because it holds the user's id, and answers are kept.
    encoded = base64.b64encode(await request.body()).decode()
    view = RequestReceived(**json.loads(bytes(answer.body)), encoded_request=encoded)
    replayed = {name: value for name, value in answer.headers.items() if name == REPLAYED.lower()}
    signed = _signed(processor, respond(view, HTTPStatus.CREATED, replayed))
    signed.headers[RECEIPT_SALT] = gateway.subject_key.receipt_salt(user_id)
    return signed


@router.get(f"{_FORMER}/{{subject_request_id}}", include_in_schema=False)
@router.get(
    "/opendsr/requests/{subject_request_id}", response_model=RequestStatusView, responses=problems(404)
)
def read_subject_request(
    subject_request_id: IdInPath,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.FORGET_READ))],
    processor: ProcessorDependency,
) -> Response:
    """Read the state of a request that this caller has sent by OpenDSR."""
    with gateway.database.read() as session:
        request = _request_of(session, caller, subject_request_id)
    status = RequestStatus(request.status)
    receipt = processor.url(gateway.links.receipt(request.id, "completion"))
    view = RequestStatusView(
        controller_id=caller.name,
        subject_request_id=subject_request_id,
        request_status=STATES[status],
        expected_completion_time=request.due_at,
        api_version=VERSION,
        results_url=receipt if status is RequestStatus.COMPLETED else None,
    )
    return _signed(processor, respond(view))


@router.delete(f"{_FORMER}/{{subject_request_id}}", status_code=HTTPStatus.ACCEPTED, include_in_schema=False)
@router.delete(
    "/opendsr/requests/{subject_request_id}",
    status_code=HTTPStatus.ACCEPTED,
    response_model=CancellationReceived,
    responses=problems(404, 409),
)
async def cancel_subject_request(
    subject_request_id: IdInPath,
    gateway: GatewayDependency,
    caller: MayRequest,
    processor: ProcessorDependency,
    once: Once,
) -> Response:
    """Withdraw a request before a run has taken it; this lifts the suppression."""
    answer = await once.write(partial(_cancel, gateway, once, caller, subject_request_id))
    return _signed(processor, answer) if answer.status_code == HTTPStatus.ACCEPTED else answer


@router.get("/opendsr/discovery", response_model=Discovery, responses=problems(404))
def discover_processor(gateway: GatewayDependency, processor: ProcessorDependency) -> Response:
    """Read what of OpenDSR is supported, and where the certificate is. Needs no API key."""
    identity = SupportedIdentity(identity_type=gateway.settings.opendsr_identity, identity_format="raw")
    view = Discovery(
        api_version=VERSION,
        supported_identities=[identity],
        supported_subject_request_types=["erasure"],
        processor_certificate=processor.url(gateway.links.processor_certificate()),
    )
    return _signed(processor, respond(view))


@router.get("/opendsr/certificate.pem", response_class=PlainTextResponse, responses=problems(404))
def read_processor_certificate(processor: ProcessorDependency) -> PlainTextResponse:
    """Read the certificate that answers and callbacks are signed with, as PEM. Needs no API key."""
    return PlainTextResponse(processor.pem)


def _signed(processor: Processor, answer: Response) -> Response:
    answer.headers.update(processor.headers(bytes(answer.body)))
    return answer


def _request_of(session: Session, caller: Caller, subject_request_id: str) -> ForgetRequest:
    known = queries.find(session, caller.name, subject_request_id)
    if known is None:
        raise not_found("OpenDSR request")
    return session.get_one(ForgetRequest, known.request_id)


def _accept(
    gateway: Gateway, once: OnceRequest, caller: Caller, body: SubjectRequest, user_id: str
) -> Response:
    subject = gateway.subject_key.subject(user_id)
    accepted = None
    with once.transaction() as transaction:
        session, now = transaction.session, transaction.now()
        known = queries.find(session, caller.name, body.subject_request_id)
        if known is None:
            callbacks = callbacks_of(session, body, private=gateway.settings.allow_private_webhooks)
            accepted = forget_requests.accept(
                transaction,
                subject_hmac=subject,
                requested_by=caller.name,
                now=now,
                policy=gateway.request_policy,
                asked=_asked(gateway, body, user_id),
            )
            request = accepted.request
            session.flush()
            known = opendsr.remember(
                session,
                request,
                caller=caller.name,
                subject_request_id=body.subject_request_id,
                callbacks=callbacks,
                now=now,
            )
        else:
            request = session.get_one(ForgetRequest, known.request_id)
            if request.subject_hmac != subject:
                raise Problem(
                    HTTPStatus.CONFLICT,
                    "subject-request-id-reused",
                    "This subject_request_id was sent for somebody else. Take a new one for each request.",
                )
        view = Received(
            controller_id=caller.name,
            subject_request_id=known.subject_request_id,
            received_time=known.received_at,
            expected_completion_time=request.due_at,
        )
        answer = once.keep(transaction, respond(view, HTTPStatus.CREATED))
    if accepted is not None and accepted.created:
        gateway.engine.suppress(accepted.request.epoch, subject)
        gateway.after_acceptance(accepted)
    return answer


def _asked(gateway: Gateway, body: SubjectRequest, user_id: str) -> Asked:
    regime = None if body.regulation is None else Regime(body.regulation)
    return Asked(
        client_reference=body.subject_request_id,
        clock=AskedClock(regime, requested_at=body.submitted_time),
        subject_commitment=commitment(gateway.subject_key.receipt_salt(user_id), user_id),
    )


def _cancel(gateway: Gateway, once: OnceRequest, caller: Caller, subject_request_id: str) -> Response:
    with once.transaction() as transaction:
        request_id = _request_of(transaction.session, caller, subject_request_id).id
        request = decide_about(
            transaction, caller, request_id, Action.CANCEL, cancel_by(caller), reason=CancelBody().reason
        )
        view = CancellationReceived(
            controller_id=caller.name,
            subject_request_id=subject_request_id,
            received_time=transaction.now(),
            api_version=VERSION,
        )
        answer = once.keep(transaction, respond(view, HTTPStatus.ACCEPTED))
        entry = lift_by(transaction, request, Action.CANCEL)
    follow(gateway, entry)
    return answer
