"""POST /interactions: bulk ingest."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.dependencies import GatewayDependency
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.interactions.events import read_events
from app.interactions.schemas import BODY_SCHEMA, IngestView
from app.interactions.service import ingest_in_slices
from app.json_bodies import JsonRoute
from app.problem_schema import problems

router = APIRouter(tags=["interactions"], route_class=JsonRoute)


@router.post(
    "/interactions",
    status_code=HTTPStatus.OK,
    response_model=IngestView,
    responses=problems(400, 409),
    openapi_extra={"requestBody": BODY_SCHEMA},
)
async def ingest(
    request: Request,
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.INTERACTIONS_WRITE))],
    once: Once,
) -> Response:
    """Store events. A batch with an invalid id or time is refused as a whole, before anything is stored.

    Stored events belong to the user's history at once when recommending. The adapter learns from them at its next fit.

    A batch is stored in slices, so that other requests need not wait for all of it. After a 503, some events may be
    stored. The whole request is safe to send again: events that are stored already then count as duplicates. The counts
    are those of this call.
    """
    # Parse in a thread: parsing ten thousand events in the event loop would delay all requests.
    return await once.import_(partial(_store, gateway, once, await request.body()))


def _store(gateway: Gateway, once: OnceRequest, body: bytes) -> Response:
    events = read_events(body, gateway.subject_key)
    # Store items under the catalogue's spelling, because all readers of events use that.
    known = [
        replace(event, item_id=gateway.catalogue.item_ids[index])
        for event in events
        if (index := gateway.catalogue.index(event.item_id)) is not None
    ]
    try:
        result = ingest_in_slices(gateway.database, known, gateway.precedence)
    finally:
        # Some slices may be stored although the last one failed.
        gateway.histories.cache.forget({event.subject_hmac for event in known})
    view = IngestView(
        stored=result.stored,
        duplicates=result.duplicates,
        dropped_suppressed=result.suppressed,
        dropped_taken_down=result.taken_down,
        dropped_unknown_item=len(events) - len(known),
    )
    return once.keep_alone(respond(view))
