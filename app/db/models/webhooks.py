"""Webhook endpoints and the deliveries to them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class EndpointState(StrEnum):
    """Whether an endpoint is told anything."""

    PENDING = "pending"  # it has not answered its challenge yet, and is told nothing else
    ACTIVE = "active"
    DISABLED = "disabled"  # it wants no more, or has failed for too long


class DeliveryState(StrEnum):
    PENDING = "pending"  # waits for its next attempt
    DELIVERED = "delivered"
    FAILED = "failed"  # no attempt is left


class Recipient(StrEnum):
    """Whether an endpoint belongs to a system that holds the users too, and must erase them."""

    OPTIONAL = "optional"  # it is told of each request; nobody waits
    MANDATORY = "mandatory"  # no request is completed before it has acknowledged


class WebhookProtocol(StrEnum):
    """In which form an endpoint is told."""

    STANDARD = "standard"  # public events, signed by the Standard Webhooks specification
    OPENDSR = "opendsr"  # callbacks of OpenDSR, about requests that have named the endpoint


class WebhookEndpoint(Base):
    """A URL that is told of public events. Its secret is not stored: it is derived from the service's key.

    ``position`` is the last event for which it was decided whether it is delivered. ``failing_since`` is the time of
    the first failure since the last success.
    """

    __tablename__ = "webhook_endpoints"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    url: Mapped[str] = mapped_column(String(2048))
    # Names of events; empty for all.
    events: Mapped[list[str]]
    state: Mapped[str] = mapped_column(String(20))
    disabled_reason: Mapped[str | None] = mapped_column(String(20))
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    recipient: Mapped[str | None] = mapped_column(String(10))
    failing_since: Mapped[datetime | None]
    protocol: Mapped[str] = mapped_column(
        String(10), default=WebhookProtocol.STANDARD, server_default=WebhookProtocol.STANDARD
    )
    position: Mapped[int] = mapped_column(BigInteger)


class WebhookDelivery(Base):
    """One message to one endpoint: an event, or a challenge, which has no ``sequence``.

    ``due_at`` is the time of the next attempt. While an attempt is under way it is the time at which another process
    takes over.
    """

    __tablename__ = "webhook_deliveries"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id"))
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(index=True)
    due_at: Mapped[datetime]
    last_at: Mapped[datetime | None]
    last_code: Mapped[str | None] = mapped_column(String(40))
    last_status: Mapped[int | None]

    __table_args__ = (
        UniqueConstraint("endpoint_id", "sequence"),
        Index("ix_webhook_deliveries_due", "state", "due_at"),
    )
