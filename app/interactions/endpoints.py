"""POST /interactions: bulk ingest."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from app.authentication import Caller, require
from app.db import interactions
from app.db.api_keys import Scope
from app.db.interactions import NewInteraction
from app.dependencies import GatewayDependency
from app.subjects import USER_ID_PATTERN

router = APIRouter(tags=["interactions"])

MAX_EVENTS = 10_000


class InteractionBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_id: Annotated[str, Field(pattern=USER_ID_PATTERN)]
    item_id: Annotated[str, Field(min_length=1, max_length=128)]
    timestamp: Annotated[int, Field(ge=0, lt=2**62, description="seconds since 1970-01-01 UTC")]


class IngestBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    interactions: Annotated[list[InteractionBody], Field(min_length=1, max_length=MAX_EVENTS)]


class IngestView(BaseModel):
    """What became of the events. ``dropped_suppressed`` belong to users who asked to be forgotten."""

    stored: int
    duplicates: int
    dropped_suppressed: int
    dropped_unknown_item: int


@router.post("/interactions", status_code=HTTPStatus.OK)
def ingest(
    body: IngestBody,
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.INTERACTIONS_WRITE))],
) -> IngestView:
    """Store events in one transaction; sending a batch twice changes nothing.

    Stored events count at once as the user's history when recommending; the adapter learns from them at its next fit.
    """
    known = [event for event in body.interactions if gateway.catalogue.index(event.item_id) is not None]
    events = [
        NewInteraction(gateway.subject_key.subject(event.user_id), event.item_id, event.timestamp)
        for event in known
    ]
    with gateway.database.unit_of_work() as session:
        result = interactions.ingest(session, events)
    return IngestView(
        stored=result.stored,
        duplicates=result.duplicates,
        dropped_suppressed=result.suppressed,
        dropped_unknown_item=len(body.interactions) - len(known),
    )
