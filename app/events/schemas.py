"""A public event as streams and webhooks carry it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from app.db.models import PublicEvent


class EventData(BaseModel):
    """What the event is about: a request, a version or a takedown. It never names the user."""

    request_id: str | None
    client_reference: str | None
    status: str | None = Field(description="status of the request, or the takedown, after the event")
    version: str | None
    takedown_id: str | None
    item_id: str | None = Field(description="the item that was taken down")


class EventBody(BaseModel):
    """One public event. ``sequence`` grows with each event."""

    type: str
    sequence: int
    timestamp: datetime
    data: EventData

    @classmethod
    def of(cls, event: PublicEvent) -> EventBody:
        return cls(
            type=event.name,
            sequence=event.sequence,
            timestamp=event.recorded_at,
            data=EventData(
                request_id=event.request_id,
                client_reference=event.client_reference,
                status=event.status,
                version=event.version,
                takedown_id=event.takedown_id,
                item_id=event.item_id,
            ),
        )
