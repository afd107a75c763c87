"""POST /adapters/{digest}/rollback: go back to the version that was live before."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.audit.transaction import Transaction
from app.db.errors import BelowErasureFloor, PointerMoved
from app.db.models import Version
from app.dependencies import GatewayDependency
from app.errors import Problem, not_found
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.problem_schema import problems
from app.versions.rollback import Guard, RollbackRefused, RolledBack, roll_back
from app.versions.schemas import RollbackView

router = APIRouter(tags=["adapters"])
Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="the version to go back to")]


@router.post("/adapters/{digest}/rollback", response_model=RollbackView, responses=problems(404, 409))
async def roll_back_version(
    digest: Digest,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.ROLL_BACK))],
    once: Once,
) -> Response:
    """Go back to the version that was live right before the present one.

    That is possible after an installation that forgot nobody. It is refused with 409 and `guard` wherever an erasure
    could be undone: after every published run, and after every request that was completed since.
    """
    return await once.write(partial(_answer, gateway, once, caller, digest))


def go_back(gateway: Gateway, transaction: Transaction, digest: str, *, actor: str) -> RolledBack:
    """Go back, as callers of the API and people on the page do.

    Raises:
        Problem: 404, there is no such version; 409, a guard refuses it.
    """
    version = transaction.session.get(Version, digest)
    if version is None:
        raise not_found("version")
    floor = gateway.engine.status().erasure_floor
    try:
        return roll_back(transaction, gateway.store, version, floor=floor, actor=actor, now=transaction.now())
    except RollbackRefused as error:
        raise _refused(error.guard, str(error)) from error
    except (BelowErasureFloor, PointerMoved) as error:
        raise _refused(Guard.NOT_PREVIOUS, "Another version became live meanwhile.") from error


def _answer(gateway: Gateway, once: OnceRequest, caller: Caller, digest: str) -> Response:
    with once.transaction() as transaction:
        done = go_back(gateway, transaction, digest, actor=caller.name)
        view = RollbackView(live=done.version, left=done.from_version, generation=done.generation)
        answer = once.keep(transaction, respond(view, HTTPStatus.OK, {}))
    gateway.engine.poke()
    return answer


def _refused(guard: Guard, told: str) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "rollback-refused", told, guard=str(guard))
