"""POST /consolidations: replace accumulated attenuation by an exact re-fit."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.consolidations import service as consolidations
from app.consolidations.service import Requested
from app.db.errors import NothingToConsolidate
from app.db.models import ConsolidationReason
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.json_bodies import JsonRoute
from app.links import Links
from app.problem_schema import problems
from app.runs.schemas import RunView

router = APIRouter(tags=["consolidations"], route_class=JsonRoute)


@router.post(
    "/consolidations", status_code=HTTPStatus.ACCEPTED, response_model=RunView, responses=problems(409)
)
async def consolidate(
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.CONSOLIDATE))],
    once: Once,
) -> Response:
    """Queue an exact re-fit that replaces the live version and leaves out everyone forgotten so far.

    While a consolidation waits or works, a repeat returns that one. Waiting forget requests go first, for a limited
    time.
    """
    return await once.write(partial(_request, gateway, once, caller))


def _request(gateway: Gateway, once: OnceRequest, caller: Caller) -> Response:
    try:
        with once.transaction() as transaction:
            requested = consolidations.request(
                transaction,
                reason=ConsolidationReason.ON_DEMAND,
                requested_by=caller.name,
                patience=timedelta(seconds=gateway.settings.consolidation_patience_seconds),
                now=transaction.now(),
            )
            answer = once.keep(transaction, _answer(requested, gateway.links))
    except NothingToConsolidate as error:
        raise Problem(HTTPStatus.CONFLICT, "nothing-to-consolidate", str(error)) from error
    if requested.created:
        gateway.queue.dispatch(requested.run.id)
    return answer


def _answer(requested: Requested, links: Links) -> Response:
    headers = {"Location": links.run(requested.run.id)}
    if not requested.created:
        headers["Consolidation-Existing"] = "true"
    return respond(RunView.of(requested.run), HTTPStatus.ACCEPTED, headers)
