"""POST /adapters/{digest}/rollback: let an earlier version serve again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.audit.transaction import Transaction
from app.dependencies import GatewayDependency
from app.errors import Problem, not_found
from app.gateway import Gateway
from app.idempotency.once import Once, OnceRequest, respond
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.versions.rollback import Guard, RollbackRefused, RolledBack, WayBack, roll_back, way_back
from app.versions.schemas import RollbackView

router = APIRouter(tags=["adapters"], route_class=JsonRoute)
Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="the version to go back to")]


@router.post("/adapters/{digest}/rollback", response_model=RollbackView, responses=problems(404, 409))
async def roll_back_version(
    digest: Digest,
    gateway: GatewayDependency,
    caller: Annotated[Caller, Depends(require(Scope.ROLL_BACK))],
    once: Once,
) -> Response:
    """Let an earlier version serve again, where that undoes nobody's erasure.

    That is possible after an installation that forgot nobody. Otherwise it is refused with 409, and `guard` says why:
    after every published run, and where the version has read somebody whose request is settled.
    """
    # It reads a whole version: not in the threads that forget requests need.
    return await once.import_(partial(_answer, gateway, once, caller, digest))


def find_way_back(gateway: Gateway, digest: str) -> WayBack:
    """Find out whether this version may serve again. Call outside of a transaction.

    Raises:
        Problem: 404, the version has never served here; 409, a guard refuses it.
    """
    with _told():
        return way_back(gateway.database, gateway.store, digest, floor=gateway.engine.status().erasure_floor)


def go_back(transaction: Transaction, way: WayBack, *, actor: str) -> RolledBack:
    """Make the version live again.

    Raises:
        Problem: 409, a guard refuses it.
    """
    with _told():
        return roll_back(transaction, way, actor=actor, now=transaction.now())


def _answer(gateway: Gateway, once: OnceRequest, caller: Caller, digest: str) -> Response:
    way = find_way_back(gateway, digest)
    with once.transaction() as transaction:
        done = go_back(transaction, way, actor=caller.name)
        view = RollbackView(live=done.version, left=done.from_version, generation=done.generation)
        answer = once.keep(transaction, respond(view, HTTPStatus.OK, {}))
    gateway.engine.poke()
    return answer


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RollbackRefused as error:
        if error.guard is Guard.NEVER_SERVED:
            raise not_found("version") from error
        raise Problem(HTTPStatus.CONFLICT, "rollback-refused", str(error), guard=str(error.guard)) from error
