"""POST /forget-requests/{id}/targets/{name}/acknowledge: a recipient has done its part."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.dependencies import GatewayDependency
from app.errors import not_found
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.targets.schemas import TargetView

router = APIRouter(tags=["forget"], route_class=JsonRoute)


@router.post(
    "/forget-requests/{request_id:path}/targets/{name}/acknowledge",
    response_model=TargetView,
    responses=problems(404, 409),
)
async def acknowledge_target(
    request_id: Annotated[str, Path(pattern=r"^fr_[0-9a-f]{32}$")],
    name: Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")],
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.TARGETS_ACKNOWLEDGE))],
    once: Once,
) -> Response:
    """Say that a recipient has erased the user of this request, after it had answered its notice with 202.

    A request whose mandatory recipients have all acknowledged is completed, if it has waited for nothing else.
    """
    return await once.write(partial(_acknowledge, gateway, once, caller, request_id, name))


def _acknowledge(gateway: Gateway, once: OnceRequest, caller: Caller, request_id: str, name: str) -> Response:
    target = gateway.acknowledge(request_id, name, by=caller.name)
    if target is None:
        raise not_found("target")
    # A repeat changes nothing, so the answer may be kept in a transaction of its own.
    return once.keep_alone(respond(TargetView.of(target)))
