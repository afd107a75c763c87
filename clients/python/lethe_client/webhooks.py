"""Endpoints that are told of events, and what was delivered to them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from lethe_client.models import Model

Recipient = Literal["mandatory", "optional"]
Protocol = Literal["standard", "opendsr"]


class Endpoint(Model):
    """A registered endpoint. A ``recipient`` is a system that must forget the user too, and acknowledges that.

    One whose ``protocol`` is ``opendsr`` gets that protocol's callbacks.
    """

    id: str
    name: str
    url: str
    events: list[str]
    recipient: str | None
    protocol: str
    state: str
    disabled_reason: str | None
    created_at: datetime
    failing_since: datetime | None


class Registered(Endpoint):
    """A new endpoint with what verifies its messages, which is told once: the ``secret``, or the ``public_key``."""

    secret: str
    public_key: str


class EndpointList(Model):
    """All endpoints."""

    endpoints: list[Endpoint]


class Delivery(Model):
    """One event for one endpoint, and how far it has come."""

    id: str
    endpoint_id: str
    sequence: int | None
    name: str
    state: str
    attempts: int
    created_at: datetime
    due_at: datetime | None
    last_at: datetime | None
    last_code: str | None
    last_status: int | None


class DeliveryList(Model):
    """Deliveries, the newest first."""

    deliveries: list[Delivery]


class Replayed(Model):
    """How many events are sent again."""

    events: int
