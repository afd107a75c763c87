"""Going back to the version that was live before, where nobody's erasure is undone by it (invariant I3).

A version that a run has published is never left this way: publishing raises the erasure floor above all versions
before it. What can be undone is the installation of a version that forgot nobody more than the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.audit.events import VersionRolledBack
from app.audit.transaction import Transaction
from app.db.ledger import lock_ledger
from app.db.models import ForgetRequest, RequestStatus, Run, RunStatus, Version
from app.levels import service as levels
from app.versions import queries as versions
from app.versions.service import move
from model_store import Store, StoreError


class Guard(StrEnum):
    """Why it is refused to go back."""

    DESTROYED = "destroyed"
    BELOW_FLOOR = "below_floor"
    NOT_PREVIOUS = "not_previous"
    SETTLED_SINCE = "settled_since"
    RUN_WORKS = "run_works"
    NOT_IN_STORE = "not_in_store"


WHY = {
    Guard.DESTROYED: "it is destroyed",
    Guard.BELOW_FLOOR: "it lies below the erasure floor: it may know somebody who has been erased since, and nothing "
    "there may ever serve again",
    Guard.NOT_PREVIOUS: "only the version that was live right before the present one can come back",
    Guard.SETTLED_SINCE: "a request was completed since it was live, and it may know that person",
    Guard.RUN_WORKS: "a run works, and counts on the present version; wait until it is done",
    Guard.NOT_IN_STORE: "the store does not have it, or its manifest cannot be read",
}


class RollbackRefused(Exception):
    """Going back would undo an erasure, or is not possible. ``guard`` says why; nothing was changed."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(f"There is no way back to this version: {WHY[guard]}.")
        self.guard = guard


@dataclass(frozen=True)
class RolledBack:
    """What serves now, and what served before."""

    version: str
    from_version: str | None
    generation: int


def obstacle(session: Session, version: Version, floor: int) -> Guard | None:
    """Why the service may not go back to this version; None if the database knows no reason.

    Args:
        floor: the erasure floor in force, which may be above that of the row.
    """
    pointer = versions.current(session)
    if version.destroyed_at is not None:
        return Guard.DESTROYED
    if version.forget_epoch < max(floor, pointer.erasure_floor):
        return Guard.BELOW_FLOOR
    if version.digest != pointer.previous_digest or version.digest == pointer.digest:
        return Guard.NOT_PREVIOUS
    # A request is completed without a rise of the floor if the version that is live has not read the person. The one
    # before may have.
    settled = select(func.count()).where(
        ForgetRequest.outcome.is_not(None), ForgetRequest.completed_at >= pointer.moved_at
    )
    if session.scalar(settled):
        return Guard.SETTLED_SINCE
    working = session.scalar(select(func.count()).where(Run.status == RunStatus.RUNNING))
    under_way = select(func.count()).where(
        or_(ForgetRequest.status == RequestStatus.UNLEARNING, ForgetRequest.status == RequestStatus.DEPLOYING)
    )
    if working or session.scalar(under_way):
        return Guard.RUN_WORKS
    return None


def roll_back(
    transaction: Transaction, store: Store, version: Version, *, floor: int, actor: str, now: datetime
) -> RolledBack:
    """Make a version live again that was live right before the present one.

    Args:
        floor: the erasure floor in force, which may be above that of the row.

    Raises:
        RollbackRefused: a guard refuses it.
        PointerMoved: another version became live meanwhile.
    """
    session = transaction.session
    lock_ledger(session)
    guard = obstacle(session, version, floor)
    if guard is not None:
        raise RollbackRefused(guard)
    left, wanted = versions.current(session).digest, version.digest
    try:
        # The manifest's digest protects its epoch against an edited row.
        epoch = store.read_manifest(wanted).forget_epoch
    except StoreError as error:
        raise RollbackRefused(Guard.NOT_IN_STORE) from error
    if epoch < floor:
        raise RollbackRefused(Guard.BELOW_FLOOR)
    generation = move(session, left, wanted, covers=epoch, floor=epoch, actor=actor, now=now)
    # The levels belong to the fit that is left.
    levels.drop_all(session)
    transaction.record(
        VersionRolledBack(version=wanted, left=left, generation=generation, forget_epoch=epoch), actor=actor
    )
    return RolledBack(wanted, left, generation)
