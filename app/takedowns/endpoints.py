"""POST /items/{id}/forget, and the takedowns that it makes."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.db.limits import be_patient
from app.db.models import ItemTakedown
from app.dependencies import GatewayDependency
from app.errors import not_found
from app.fields import IdInPath
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.takedowns import queries as takedowns
from app.takedowns import service
from app.takedowns.schemas import TakedownBody, TakedownPage, TakedownView

router = APIRouter(tags=["items"], route_class=JsonRoute)

ItemId = Annotated[IdInPath, Path(description="percent-encoded, a slash in it as %2F")]
MayRead = Annotated[Caller, Depends(require(Scope.FORGET_READ))]
_ACCEPTED: dict[int | str, dict[str, Any]] = problems(400, 409) | {
    200: {"model": TakedownView, "description": "A repeat for an item that is erased"}
}
# The stored events are read once, for other spellings of the id.
_PATIENCE_SECONDS = 120.0


@router.post(
    "/items/{item_id:path}/forget",
    status_code=HTTPStatus.ACCEPTED,
    response_model=TakedownView,
    responses=_ACCEPTED,
)
async def forget_item(
    item_id: ItemId,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.ITEMS_FORGET))],
    once: Once,
    body: Annotated[TakedownBody | None, Body()] = None,
) -> Response:
    """Take an item down, for good: there is no way back.

    From the answer on this replica never names the item again, and every other replica stops within its feed lease.
    Its events are hidden from all histories, and new ones are dropped. The next exact fit, as a rule a consolidation,
    is made without them; once it serves everywhere and every older version is destroyed, the events are deleted and the
    takedown is `erased`. The row in the catalogue stays, and what the base knows of the item.

    Any id is accepted, also one that the catalogue lacks. A repeat returns the same takedown.
    """
    return await once.write(partial(_take_down, gateway, once, caller, item_id, body or TakedownBody()))


@router.get("/items/{item_id:path}/forget", responses=problems(404))
def read_takedown(item_id: ItemId, gateway: GatewayDependency, _caller: MayRead) -> TakedownView:
    """Read the takedown of an item."""
    with gateway.database.read() as session:
        found = takedowns.of_item(session, item_id)
        if found is None:
            raise not_found("takedown")
        return _view(gateway, found)


@router.get("/takedowns", responses=problems())
def list_takedowns(
    gateway: GatewayDependency,
    _caller: MayRead,
    cursor: Annotated[
        str | None, Query(pattern=r"^td_[0-9a-f]{32}$", description="`next_cursor` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="takedowns on a page")] = 50,
) -> TakedownPage:
    """List the items that were taken down, the newest first."""
    with gateway.database.read() as session:
        found = takedowns.newest(session, limit=limit + 1, before=cursor)
        return TakedownPage(
            takedowns=[_view(gateway, one) for one in found[:limit]],
            next_cursor=found[limit - 1].id if len(found) > limit else None,
        )


def _take_down(
    gateway: Gateway, once: OnceRequest, caller: Caller, item_id: str, body: TakedownBody
) -> Response:
    index = gateway.catalogue.index(item_id)
    spellings = {item_id} if index is None else {item_id, gateway.catalogue.item_ids[index]}
    # Before the lock, for which others wait: an import stores the catalogue's spelling only.
    with gateway.database.read() as session:
        be_patient(session, _PATIENCE_SECONDS)
        if takedowns.of_item(session, item_id) is None:
            spellings |= takedowns.stored_spellings(session, item_id)
    with once.transaction() as transaction:
        taken = service.take_down(
            transaction,
            item_id,
            spellings=spellings,
            requested_by=caller.name,
            now=transaction.now(),
            client_reference=body.client_reference,
        )
        answer = once.keep(transaction, _answer(gateway, taken))
    # Also for a repeat: what an earlier request has committed, this replica may not have read yet.
    gateway.engine.take_down(taken.takedown.epoch, taken.takedown.item_id)
    if taken.created:
        gateway.after_takedown(taken.takedown)
    return answer


def _answer(gateway: Gateway, taken: service.TakenDown) -> Response:
    row = taken.takedown
    headers = {"Location": gateway.links.takedown(row.item_id)}
    if not taken.created:
        headers["Takedown-Existing"] = "true"
    status = HTTPStatus.ACCEPTED if row.erased_at is None else HTTPStatus.OK
    return respond(_view(gateway, row), status, headers)


def _view(gateway: Gateway, row: ItemTakedown) -> TakedownView:
    return TakedownView.of(
        row,
        gateway.links,
        in_catalogue=gateway.catalogue.index(row.item_id) is not None,
        retriever=gateway.retriever is not None,
    )
