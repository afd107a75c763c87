"""Queries of webhook endpoints and deliveries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from app.db.models import DeliveryState, EndpointState, Ledger, WebhookDelivery, WebhookEndpoint


def endpoints(session: Session) -> Sequence[WebhookEndpoint]:
    return session.scalars(select(WebhookEndpoint).order_by(WebhookEndpoint.created_at)).all()


def find_endpoint(session: Session, endpoint_id: str) -> WebhookEndpoint | None:
    return session.get(WebhookEndpoint, endpoint_id)


def deliveries(
    session: Session, *, endpoint: str | None, state: str | None, limit: int
) -> Sequence[WebhookDelivery]:
    """The delivery log, the newest first."""
    query = select(WebhookDelivery).order_by(
        WebhookDelivery.created_at.desc(), WebhookDelivery.sequence.desc()
    )
    if endpoint is not None:
        query = query.where(WebhookDelivery.endpoint_id == endpoint)
    if state is not None:
        query = query.where(WebhookDelivery.state == state)
    return session.scalars(query.limit(limit)).all()


def behind(session: Session) -> Select[WebhookEndpoint]:
    """Active endpoints for which there are events that they have not been told of yet."""
    newest = select(Ledger.event_sequence).where(Ledger.id == 1).scalar_subquery()
    return select(WebhookEndpoint).where(
        WebhookEndpoint.state == EndpointState.ACTIVE, WebhookEndpoint.position < newest
    )


def work_waits(session: Session, now: datetime, *, but: Collection[str]) -> bool:
    """Whether there is anything to plan or to send."""
    return bool(
        session.scalar(select(behind(session).exists())) or endpoints_due(session, now, but=but, limit=1)
    )


def endpoints_due(
    session: Session, now: datetime, *, but: Collection[str], limit: int
) -> Sequence[WebhookEndpoint]:
    """Endpoints with deliveries that are due, the one that has waited longest first."""
    waited = (
        select(WebhookDelivery.endpoint_id, func.min(WebhookDelivery.due_at).label("since"))
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(_due(now), WebhookDelivery.endpoint_id.not_in(but))
        .group_by(WebhookDelivery.endpoint_id)
        .subquery()
    )
    return session.scalars(
        select(WebhookEndpoint)
        .join(waited, waited.c.endpoint_id == WebhookEndpoint.id)
        .order_by(waited.c.since)
        .limit(limit)
    ).all()


def first_due(session: Session, endpoint_id: str, now: datetime) -> WebhookDelivery | None:
    """The oldest delivery to an endpoint that is due."""
    return session.scalars(
        select(WebhookDelivery)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(_due(now), WebhookDelivery.endpoint_id == endpoint_id)
        .order_by(WebhookDelivery.sequence)
        .limit(1)
    ).first()


def _due(now: datetime) -> ColumnElement[bool]:
    """An endpoint that is not active is sent challenges only."""
    challenge = and_(WebhookEndpoint.state == EndpointState.PENDING, WebhookDelivery.sequence.is_(None))
    event = and_(WebhookEndpoint.state == EndpointState.ACTIVE, WebhookDelivery.sequence.is_not(None))
    return and_(
        WebhookDelivery.state == DeliveryState.PENDING, WebhookDelivery.due_at <= now, or_(challenge, event)
    )
