"""Queries of requests that came by OpenDSR."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import OpenDsrRequest


def find(session: Session, caller: str, subject_request_id: str) -> OpenDsrRequest | None:
    """The request that this caller has given this id."""
    return session.get(OpenDsrRequest, (caller, subject_request_id))


def to_tell(session: Session, endpoint_id: str, request_ids: Collection[str]) -> Sequence[OpenDsrRequest]:
    """The requests of which this endpoint is told, among these forget requests."""
    found = session.scalars(
        select(OpenDsrRequest)
        .where(OpenDsrRequest.request_id.in_(request_ids))
        .order_by(OpenDsrRequest.received_at, OpenDsrRequest.subject_request_id)
    )
    return [one for one in found if endpoint_id in one.callbacks]
