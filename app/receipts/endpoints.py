"""GET /forget-requests/{id}/receipts/…: the signed receipts of a request."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Path, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.audit import tree
from app.audit.tree import TreeDamaged
from app.db.models import ForgetRequest
from app.dependencies import GatewayDependency
from app.errors import Problem, not_found
from app.gateway import Gateway
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.receipts.claims import TYPE, Kind
from app.receipts.record import LogContradicted
from app.receipts.service import NotCompleted, Receipts
from app.transparency.problems import log_contradicted

router = APIRouter(tags=["evidence"], route_class=JsonRoute)
log = structlog.get_logger()

MEDIA_TYPE = "application/jwt"


class Token(Response):
    """A compact JWS."""

    media_type = MEDIA_TYPE


RequestId = Annotated[str, Path(pattern=r"^fr_[0-9a-f]{32}$")]
MayRead = Annotated[Caller, Depends(require(Scope.RECEIPTS_READ))]
_ANSWER: dict[int | str, dict[str, Any]] = {200: {"description": f"A compact JWS of the type {TYPE}"}}


@router.get(
    "/forget-requests/{request_id:path}/receipts/acceptance",
    response_class=Token,
    responses=_ANSWER | problems(404, 409),
)
async def read_acceptance(request_id: RequestId, gateway: GatewayDependency, _caller: MayRead) -> Token:
    """The receipt that the request was accepted: when, until when it is due, and the epoch of the suppression."""
    return Token(await gateway.write(partial(receipt_of, gateway, request_id, Kind.ACCEPTANCE)))


@router.get(
    "/forget-requests/{request_id:path}/receipts/completion",
    response_class=Token,
    responses=_ANSWER | problems(404, 409),
)
async def read_completion(request_id: RequestId, gateway: GatewayDependency, _caller: MayRead) -> Token:
    """The receipt of what was executed and measured for the request, with proofs that the log holds it."""
    return Token(await gateway.write(partial(receipt_of, gateway, request_id, Kind.COMPLETION)))


def receipt_of(gateway: Gateway, request_id: str, kind: Kind) -> str:
    """The receipt of a request, issued now if nobody has asked for it before.

    Raises:
        Problem: 404, there is no such request; 409, it is not completed, or the log contradicts the record.
    """
    try:
        # The tree must hold what was committed before.
        size = tree.grow(gateway.database)
        with gateway.database.unit_of_work() as session:
            # Two readers at once: the second one finds what the first one has issued.
            request = session.get(ForgetRequest, request_id, with_for_update=True)
            if request is None:
                raise not_found("forget request")
            if request.verify_until is not None:
                raise Problem(HTTPStatus.CONFLICT, "not-verified", "Nobody has verified this request.")
            receipts = Receipts(session, gateway.audit, gateway.signer, size)
            return receipts.acceptance(request) if kind is Kind.ACCEPTANCE else receipts.completion(request)
    except NotCompleted as error:
        raise Problem(
            HTTPStatus.CONFLICT,
            "not-completed",
            "There is a completion receipt once the request is completed.",
        ) from error
    except (LogContradicted, TreeDamaged) as error:
        log.error("receipt.refused", request=request_id, reason=str(error))
        raise log_contradicted() from error
