"""Endpoints and deliveries: registering, planning, claiming, settling, replaying.

Any number of processes plan and send. A claim is one conditional UPDATE, so one process makes each attempt; if it dies,
the delivery is due again after `ATTEMPT_SECONDS`. So a message may arrive twice, and none is lost.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.audit.transaction import Transaction
from app.audit.webhook_events import (
    WebhookActivated,
    WebhookChallenged,
    WebhookDisabled,
    WebhookRegistered,
    WebhookRemoved,
    WebhookReplayed,
)
from app.db.models import (
    DeliveryState,
    EndpointState,
    PublicEvent,
    Recipient,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookProtocol,
)
from app.db.session import insert_ignoring_duplicates, rows_changed
from app.events import queries as events
from app.events.names import EventName
from app.opendsr import service as opendsr
from app.opendsr.service import Told
from app.webhooks import queries
from app.webhooks.sending import Answer, Code

CHALLENGE = "webhook.challenge"
# Longer than an attempt can take.
ATTEMPT_SECONDS = 120.0
# The pauses before the second attempt and those after it, in seconds: three days in all.
PAUSES = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
_JITTER = 0.2
GIVEN_UP_AFTER = timedelta(days=3)
_MOST_ENDPOINTS = 100
_AT_A_TIME = 500


class TooManyEndpoints(Exception):
    """The service has as many endpoints as it may."""


class NameTaken(Exception):
    """Another endpoint has this name."""


class NotKept(Exception):
    """The event is no longer kept."""


@dataclass(frozen=True)
class Attempt:
    """A claimed delivery. ``number`` counts its attempts from 1; ``event`` is None for a challenge.

    ``at`` is the time of the claim. ``told`` is what an endpoint that speaks OpenDSR is told in place of the event, and
    None for other endpoints.
    """

    delivery: WebhookDelivery
    url: str
    number: int
    event: PublicEvent | None
    at: datetime
    told: tuple[Told, ...] | None = None


def register(
    transaction: Transaction,
    *,
    name: str,
    url: str,
    events: Sequence[str],
    recipient: Recipient | None = None,
    protocol: WebhookProtocol = WebhookProtocol.STANDARD,
    actor: str,
    now: datetime,
) -> WebhookEndpoint:
    """Register an endpoint. It is sent a challenge, and told of all events from now on once it has answered.

    OpenDSR has no challenge, so who registers an endpoint of that protocol vouches for it.

    Raises:
        NameTaken, TooManyEndpoints: nothing was registered.
    """
    session = transaction.session
    known = queries.endpoints(session)
    if any(endpoint.name == name for endpoint in known):
        raise NameTaken
    if len(known) >= _MOST_ENDPOINTS:
        raise TooManyEndpoints
    endpoint = WebhookEndpoint(
        id=f"we_{uuid.uuid4().hex}",
        name=name,
        url=url,
        events=list(events),
        state=EndpointState.PENDING,
        recipient=recipient,
        protocol=protocol,
        created_by=actor,
        created_at=now,
        position=transaction.ledger.event_sequence,
    )
    session.add(endpoint)
    transaction.record(WebhookRegistered(endpoint=endpoint.id, name=name), actor=actor)
    _begin(transaction, endpoint, now)
    return endpoint


def challenge_again(
    transaction: Transaction, endpoint: WebhookEndpoint, *, actor: str, now: datetime
) -> None:
    """Send a challenge to an endpoint that is not active. What it was to be told meanwhile waits.

    One that speaks OpenDSR is active again at once.
    """
    session = transaction.session
    waiting = select(WebhookDelivery.id).where(
        WebhookDelivery.endpoint_id == endpoint.id, WebhookDelivery.sequence.is_(None)
    )
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.id.in_(waiting)))
    endpoint.state, endpoint.disabled_reason, endpoint.failing_since = EndpointState.PENDING, None, None
    transaction.record(WebhookChallenged(endpoint=endpoint.id), actor=actor)
    _begin(transaction, endpoint, now)


def remove(transaction: Transaction, endpoint: WebhookEndpoint, *, actor: str) -> None:
    """Delete an endpoint with its deliveries."""
    session = transaction.session
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.endpoint_id == endpoint.id))
    session.delete(endpoint)
    transaction.record(WebhookRemoved(endpoint=endpoint.id), actor=actor)


def plan(session: Session, now: datetime) -> int:
    """Make deliveries of the events that active endpoints have not been told of yet. Returns how many were made."""
    made = 0
    behind = queries.behind(session).with_for_update(skip_locked=True)
    for endpoint in session.scalars(behind).all():
        found = events.following(session, endpoint.position, limit=_AT_A_TIME)
        made += _put(session, endpoint, _wanted(session, endpoint, found), now)
        if found:
            endpoint.position = found[-1].sequence
    return made


def wants(endpoint: WebhookEndpoint, name: str) -> bool:
    """Whether the endpoint is told of such events. Recipients always get notices, and others never do."""
    if name == EventName.FORGET_RECIPIENT_NOTICE:
        return endpoint.recipient is not None
    return not endpoint.events or name in endpoint.events


def claim(session: Session, now: datetime, *, limit: int, but: Collection[str]) -> list[Attempt]:
    """Claim at most ``limit`` due deliveries, one of each endpoint, the oldest event first.

    Args:
        but: endpoints to which this process is sending already.
    """
    attempts = []
    for endpoint in queries.endpoints_due(session, now, but=but, limit=limit):
        delivery = queries.first_due(session, endpoint.id, now)
        if delivery is None:
            continue
        claimed = session.execute(
            update(WebhookDelivery)
            .where(
                WebhookDelivery.id == delivery.id,
                WebhookDelivery.state == DeliveryState.PENDING,
                WebhookDelivery.due_at <= now,
                WebhookDelivery.attempts == delivery.attempts,
            )
            .values(
                attempts=delivery.attempts + 1, due_at=now + timedelta(seconds=ATTEMPT_SECONDS), last_at=now
            )
            .execution_options(synchronize_session=False)
        )
        if rows_changed(claimed):
            event = None if delivery.sequence is None else session.get(PublicEvent, delivery.sequence)
            told = None if event is None else opendsr.told(session, endpoint, event)
            attempts.append(Attempt(delivery, endpoint.url, delivery.attempts + 1, event, now, told))
    return attempts


def settle(session: Session, attempt: Attempt, answer: Answer, *, now: datetime) -> WebhookEndpoint | None:
    """Record how an attempt ended, and when the next one is due.

    Returns:
        The endpoint; None if it was removed meanwhile.
    """
    values: dict[str, Any] = {"last_code": answer.code, "last_status": answer.status}
    delivered, dropped = answer.code is Code.DELIVERED, answer.code is Code.EVENT_DROPPED
    if delivered:
        values["state"] = DeliveryState.DELIVERED
    elif dropped or attempt.number > len(PAUSES):
        values["state"] = DeliveryState.FAILED
    else:
        pause = PAUSES[attempt.number - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)
        values["due_at"] = now + timedelta(seconds=pause)
    session.execute(
        update(WebhookDelivery)
        # Not if another process has taken over, or somebody has had it sent again.
        .where(WebhookDelivery.id == attempt.delivery.id, WebhookDelivery.attempts == attempt.number)
        .values(values)
        .execution_options(synchronize_session=False)
    )
    endpoint = session.get(WebhookEndpoint, attempt.delivery.endpoint_id)
    if endpoint is not None and delivered:
        endpoint.failing_since = None
    elif endpoint is not None and endpoint.failing_since is None and not dropped:
        endpoint.failing_since = now
    return endpoint


def activate(transaction: Transaction, endpoint_id: str) -> None:
    """The endpoint has answered its challenge."""
    endpoint = transaction.session.get(WebhookEndpoint, endpoint_id, with_for_update=True)
    if endpoint is not None and endpoint.state == EndpointState.PENDING:
        endpoint.state, endpoint.disabled_reason = EndpointState.ACTIVE, None
        transaction.record(WebhookActivated(endpoint=endpoint_id), actor="webhooks")


def disable(transaction: Transaction, endpoint_id: str, reason: str) -> bool:
    """Tell an endpoint nothing more. Its deliveries wait for its next challenge. Returns whether it was active."""
    endpoint = transaction.session.get(WebhookEndpoint, endpoint_id, with_for_update=True)
    if endpoint is None or endpoint.state != EndpointState.ACTIVE:
        return False
    endpoint.state, endpoint.disabled_reason = EndpointState.DISABLED, reason
    transaction.record(WebhookDisabled(endpoint=endpoint_id, reason=reason), actor="webhooks")
    return True


def redeliver(transaction: Transaction, delivery: WebhookDelivery, *, actor: str, now: datetime) -> None:
    """Send an event again, with all attempts.

    Raises:
        NotKept: the event is no longer kept.
    """
    sequence = delivery.sequence
    if sequence is None or transaction.session.get(PublicEvent, sequence) is None:
        raise NotKept
    _send_again(transaction.session, delivery.endpoint_id, [sequence], now)
    transaction.session.refresh(delivery)
    transaction.record(
        WebhookReplayed(endpoint=delivery.endpoint_id, first=sequence, last=sequence), actor=actor
    )


def replay(
    transaction: Transaction, endpoint: WebhookEndpoint, *, first: int, last: int, actor: str, now: datetime
) -> int:
    """Send all events of a range again that the endpoint wants and that are still kept. Returns how many."""
    session, count, after = transaction.session, 0, first - 1
    # Those above are delivered anyway.
    last = min(last, endpoint.position)
    while found := events.following(session, after, limit=_AT_A_TIME, up_to=last):
        wanted = _wanted(session, endpoint, found)
        _put(session, endpoint, wanted, now)
        _send_again(session, endpoint.id, [event.sequence for event in wanted], now)
        count, after = count + len(wanted), found[-1].sequence
    transaction.record(WebhookReplayed(endpoint=endpoint.id, first=first, last=last), actor=actor)
    return count


def drop_old(session: Session, *, before: datetime) -> None:
    """Delete the deliveries that were made before this time."""
    session.execute(
        delete(WebhookDelivery)
        .where(WebhookDelivery.created_at < before)
        .execution_options(synchronize_session=False)
    )


def _begin(transaction: Transaction, endpoint: WebhookEndpoint, now: datetime) -> None:
    transaction.session.flush()
    if endpoint.protocol == WebhookProtocol.OPENDSR:
        activate(transaction, endpoint.id)
    else:
        transaction.session.add(_delivery(endpoint, CHALLENGE, None, now))


def _wanted(
    session: Session, endpoint: WebhookEndpoint, found: Sequence[PublicEvent]
) -> Sequence[PublicEvent]:
    if endpoint.protocol == WebhookProtocol.OPENDSR:
        return opendsr.wanted(session, endpoint, found)
    return [event for event in found if wants(endpoint, event.name)]


def _put(session: Session, endpoint: WebhookEndpoint, found: Sequence[PublicEvent], now: datetime) -> int:
    if found:
        rows = [
            {
                "id": f"wd_{uuid.uuid4().hex}",
                "endpoint_id": endpoint.id,
                "sequence": event.sequence,
                "name": event.name,
                "state": DeliveryState.PENDING,
                "attempts": 0,
                "created_at": now,
                "due_at": now,
            }
            for event in found
        ]
        session.execute(insert_ignoring_duplicates(session, WebhookDelivery), rows)
    return len(found)


def _delivery(endpoint: WebhookEndpoint, name: str, sequence: int | None, now: datetime) -> WebhookDelivery:
    return WebhookDelivery(
        id=f"wd_{uuid.uuid4().hex}",
        endpoint_id=endpoint.id,
        sequence=sequence,
        name=name,
        state=DeliveryState.PENDING,
        attempts=0,
        created_at=now,
        due_at=now,
    )


def _send_again(session: Session, endpoint_id: str, sequences: Sequence[int], now: datetime) -> None:
    """Let deliveries begin anew. An attempt that is under way settles nothing any more.

    One statement, because an attempt may be settled between a look at a delivery and its change.
    """
    session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.sequence.in_(sequences))
        # With a new `created_at`, it is not dropped before its last attempt.
        .values(state=DeliveryState.PENDING, attempts=0, due_at=now, created_at=now)
        .execution_options(synchronize_session=False)
    )
