"""POST /interactions: bulk ingest."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.dependencies import GatewayDependency
from app.gateway import Gateway
from app.interactions.events import read_events
from app.interactions.schemas import BODY_SCHEMA, IngestView
from app.interactions.service import ingest_in_slices
from app.problem_schema import problems

router = APIRouter(tags=["interactions"])


@router.post(
    "/interactions",
    status_code=HTTPStatus.OK,
    responses=problems(400),
    openapi_extra={"requestBody": BODY_SCHEMA},
)
async def ingest(
    request: Request,
    gateway: GatewayDependency,
    _caller: Annotated[Caller, Depends(require(Scope.INTERACTIONS_WRITE))],
) -> IngestView:
    """Store events. A batch with a bad id or time in it is refused as a whole, before anything is stored.

    Stored events count at once as the user's history when recommending; the adapter learns from them at its next fit.

    A batch is stored in parts, so that nobody waits for all of it. Where it is answered with a 503, a part may be
    stored: the whole request is safe to send again, what is stored already then counts as duplicates. The counts are
    of this call.
    """
    # Read in a thread: in the server's one loop ten thousand events would hold up everybody.
    return await gateway.import_(partial(_store, gateway, await request.body()))


def _store(gateway: Gateway, body: bytes) -> IngestView:
    events = read_events(body, gateway.subject_key)
    # Under the spelling that the catalogue gives an item, as everything that reads them does.
    known = [
        replace(event, item_id=gateway.catalogue.item_ids[index])
        for event in events
        if (index := gateway.catalogue.index(event.item_id)) is not None
    ]
    result = ingest_in_slices(gateway.database, known, gateway.precedence)
    return IngestView(
        stored=result.stored,
        duplicates=result.duplicates,
        dropped_suppressed=result.suppressed,
        dropped_unknown_item=len(events) - len(known),
    )
