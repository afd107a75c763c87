"""Bodies of the OpenDSR routes, by sections 5 to 9 of its specification 2.0.

What a tool sends beside these fields is left out: it is the protocol's, or another processor's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.fields import Instant
from app.opendsr.states import Status
from app.webhooks.addresses import LONGEST_URL

VERSION = "2.0"
# Of version 4 and in lower case, as the specification wants them.
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"


class SubjectIdentity(BaseModel):
    """One name of the person. Types and formats that this service does not know may be among them."""

    identity_type: str = Field(max_length=64)
    identity_value: str = Field(max_length=1024)
    identity_format: str = Field(max_length=16)


class SubjectRequest(BaseModel):
    """A request as a privacy tool sends it.

    The specification demands ``regulation``, and its own example has none; without it, the request policy's applies.
    """

    subject_request_id: str = Field(pattern=UUID, description="a UUID of version 4 in lower case")
    subject_request_type: Literal["erasure"]
    submitted_time: Instant = Field(description="when the person asked; the deadline counts from then")
    subject_identities: list[SubjectIdentity] = Field(min_length=1, max_length=100)
    regulation: Literal["gdpr", "ccpa"] | None = None
    api_version: str | None = Field(None, pattern=r"^([012](\.[0-9]{1,3}){0,2})?$")
    status_callback_urls: list[Annotated[str, Field(max_length=LONGEST_URL)]] | None = Field(
        None, max_length=10, description="URLs of endpoints of the protocol opendsr"
    )
    extensions: dict[str, Any] | None = Field(None, description="accepted, and not read")


class Received(BaseModel):
    """What is known of a request, and may be stored: it repeats nothing of the body but the tool's own id."""

    controller_id: str = Field(description="name of the API key")
    subject_request_id: str
    received_time: datetime
    expected_completion_time: datetime = Field(description="the deadline")


class RequestReceived(Received):
    """The request was accepted, and its subject is suppressed."""

    encoded_request: str = Field(description="the body that was sent, as Base64; do not log or store it")


class RequestStatusView(BaseModel):
    controller_id: str
    subject_request_id: str
    request_status: Status
    expected_completion_time: datetime
    api_version: Literal["2.0"]
    results_url: str | None = Field(description="the completion receipt, once there is one")


class StatusCallback(RequestStatusView):
    """The body of a callback."""

    status_callback_url: str


class CancellationReceived(BaseModel):
    controller_id: str
    subject_request_id: str
    received_time: datetime
    api_version: Literal["2.0"]


class SupportedIdentity(BaseModel):
    identity_type: str
    identity_format: Literal["raw"]


class Discovery(BaseModel):
    """What this service supports of OpenDSR."""

    api_version: Literal["2.0"]
    supported_identities: list[SupportedIdentity]
    supported_subject_request_types: list[Literal["erasure"]]
    processor_certificate: str = Field(description="address of the certificate that answers are signed with")
