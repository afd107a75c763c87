"""Bodies of the webhook endpoints. None of them has anything of what a receiver has answered but its status."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.db.models import (
    DeliveryState,
    EndpointState,
    Recipient,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookProtocol,
)
from app.events.names import EventName
from app.webhooks.addresses import LONGEST_URL
from app.webhooks.sending import Code

EndpointId = Annotated[str, Field(pattern=r"^we_[0-9a-f]{32}$")]


class RegisterBody(BaseModel):
    """An endpoint to register."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    url: str = Field(max_length=LONGEST_URL, description="https, port 443 or 8443, a public host by its name")
    events: list[EventName] = Field(default_factory=list, max_length=100, description="empty for all events")
    recipient: Recipient | None = Field(
        None, description="its system holds the users too: it gets a notice of each request"
    )
    protocol: WebhookProtocol = Field(
        WebhookProtocol.STANDARD,
        description="opendsr: it gets OpenDSR's callbacks and no events, and is active at once",
    )


class EndpointView(BaseModel):
    """A registered endpoint. Its secret is shown when it is registered, and never again."""

    id: str
    name: str
    url: str
    events: list[str]
    recipient: Recipient | None
    protocol: WebhookProtocol
    state: EndpointState
    disabled_reason: Literal["gone", "failing"] | None
    created_at: datetime
    failing_since: datetime | None = Field(description="the first failure since the last success")

    @classmethod
    def of(cls, endpoint: WebhookEndpoint) -> EndpointView:
        return cls.model_validate(endpoint, from_attributes=True)


class RegisteredView(EndpointView):
    """A new endpoint, with what verifies its messages: either of both will do.

    Both are in the form of the Standard Webhooks specification, and shown only here.
    """

    secret: str = Field(description="of the signatures `v1`, HMAC-SHA256")
    public_key: str = Field(description="of the signatures `v1a`, Ed25519; no secret")


class EndpointList(BaseModel):
    endpoints: list[EndpointView]


class DeliveryView(BaseModel):
    """One message to one endpoint, and how its last attempt ended."""

    id: str
    endpoint_id: str
    sequence: int | None = Field(description="the event's; null for a challenge")
    name: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    due_at: datetime | None = Field(description="time of the next attempt")
    last_at: datetime | None
    last_code: Code | None
    last_status: int | None = Field(description="HTTP status of the last answer")

    @classmethod
    def of(cls, delivery: WebhookDelivery) -> DeliveryView:
        view = cls.model_validate(delivery, from_attributes=True)
        waits = view.state is DeliveryState.PENDING
        return view if waits else view.model_copy(update={"due_at": None})


class DeliveryList(BaseModel):
    deliveries: list[DeliveryView]


class ReplayBody(BaseModel):
    """A range of events, by their ``sequence``."""

    model_config = ConfigDict(extra="forbid")

    first: int = Field(ge=1, le=2**53 - 1)
    last: int = Field(ge=1, le=2**53 - 1)


class ReplayedView(BaseModel):
    events: int = Field(description="how many are sent again")
