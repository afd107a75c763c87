"""The requests that OpenDSR tools have sent, and who is told of them, without HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.db.models import (
    EndpointState,
    ForgetRequest,
    OpenDsrRequest,
    PublicEvent,
    RequestStatus,
    WebhookEndpoint,
    WebhookProtocol,
)
from app.events.names import EventName
from app.opendsr import queries
from app.opendsr.states import STATES, Status

# The events with which OpenDSR's state may change.
CHANGES = frozenset(
    {
        EventName.FORGET_ACCEPTED,
        EventName.FORGET_QUEUED,
        EventName.FORGET_STARTED,
        EventName.FORGET_COMPLETED,
        EventName.FORGET_REOPENED,
        EventName.FORGET_CANCELLED,
        EventName.FORGET_DENIED,
    }
)


@dataclass(frozen=True)
class Told:
    """What an endpoint is told of one request."""

    caller: str
    subject_request_id: str
    request_id: str
    status: Status
    due_at: datetime


def remember(
    session: Session,
    request: ForgetRequest,
    *,
    caller: str,
    subject_request_id: str,
    callbacks: Sequence[str],
    now: datetime,
) -> OpenDsrRequest:
    """Store the id that a tool has given a forget request."""
    known = OpenDsrRequest(
        caller=caller,
        subject_request_id=subject_request_id,
        request_id=request.id,
        received_at=now,
        callbacks=list(callbacks),
    )
    session.add(known)
    return known


def takes_callbacks(endpoint: WebhookEndpoint) -> bool:
    """Whether a request may name this endpoint."""
    return endpoint.state == EndpointState.ACTIVE and endpoint.protocol == WebhookProtocol.OPENDSR


def wanted(session: Session, endpoint: WebhookEndpoint, found: Sequence[PublicEvent]) -> list[PublicEvent]:
    """The events that an endpoint which speaks OpenDSR is told of: changes of requests that have named it."""
    changes = [event for event in found if event.name in CHANGES and event.request_id is not None]
    about = {str(event.request_id) for event in changes}
    named = {one.request_id for one in queries.to_tell(session, endpoint.id, about)}
    return [event for event in changes if event.request_id in named]


def told(session: Session, endpoint: WebhookEndpoint, event: PublicEvent) -> tuple[Told, ...] | None:
    """What this endpoint is told in place of the event, for each id that tools have given the request.

    Returns:
        None if it does not speak OpenDSR.
    """
    if endpoint.protocol != WebhookProtocol.OPENDSR:
        return None
    if event.request_id is None or event.status is None:
        return ()
    request = session.get_one(ForgetRequest, event.request_id)
    status = STATES[RequestStatus(event.status)]
    return tuple(
        Told(one.caller, one.subject_request_id, request.id, status, request.due_at)
        for one in queries.to_tell(session, endpoint.id, [request.id])
    )
