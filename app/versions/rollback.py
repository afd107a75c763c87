"""Lets an earlier version serve again, where that undoes nobody's erasure (invariants I3 and I13).

`way_back` asks the database and the store, and `roll_back` moves the pointer. The API, the dashboard and the command
line have no other way. After a published run there is none: publishing raises the floor above all versions before.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.audit.transaction import Transaction
from app.codes import DetailCode
from app.db.errors import BelowErasureFloor, PointerMoved
from app.db.ledger import lock_ledger
from app.db.models import ForgetRequest, ItemTakedown, RequestStatus, Run, RunStatus, Version
from app.db.session import Database
from app.readers.past_readers import note_past_readers
from app.readers.readership import Anybody, Readership, read_readership
from app.versions import queries as versions
from app.versions.floor import vouch_for_floor
from app.versions.service import install
from model_store import Manifest, Store, StoreError, VersionBelowFloor, VersionDestroyed, read_version


class Guard(StrEnum):
    """Why it is refused to go back."""

    NEVER_SERVED = "never_served"
    SERVES_ALREADY = "serves_already"
    DESTROYED = "destroyed"
    BELOW_FLOOR = "below_floor"
    READ_TAKEN_ITEM = "read_taken_item"
    READ_SETTLED = "read_settled"
    RUN_WORKS = "run_works"
    NOT_IN_STORE = "not_in_store"
    OTHER_BASE = DetailCode.OTHER_BASE.value
    OTHER_ITEMS = "other_items"
    MOVED_MEANWHILE = "moved_meanwhile"


WHY = {
    Guard.NEVER_SERVED: "it has never served here",
    Guard.SERVES_ALREADY: "it serves already",
    Guard.DESTROYED: "it is destroyed",
    Guard.BELOW_FLOOR: "it lies below the erasure floor: it may know somebody who has been erased since, and nothing "
    "there may ever serve again",
    Guard.READ_TAKEN_ITEM: "an item was erased that it may have been trained on",
    Guard.READ_SETTLED: "it has read, or may have read, somebody whose request is settled",
    Guard.RUN_WORKS: "a run works, and counts on the present version; wait until it is done",
    Guard.NOT_IN_STORE: "the store does not have it whole, or cannot read it or what serves; lethe store check says "
    "more",
    Guard.OTHER_BASE: "it belongs to another base than the version that serves",
    Guard.OTHER_ITEMS: "it was made for other items than the version that serves, and every replica would refuse it",
    Guard.MOVED_MEANWHILE: "another version became live meanwhile",
}


class RollbackRefused(Exception):
    """Going back would undo an erasure, or is not possible. ``guard`` says why; what serves was not changed."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(f"There is no way back to this version: {WHY[guard]}.")
        self.guard = guard


@dataclass(frozen=True)
class WayBack:
    """A version that may serve again, as far as `way_back` can tell; what it left is what served then."""

    version: str
    left: str | None
    forget_epoch: int
    base_digest: str
    readers: Container[str]
    floor: int


@dataclass(frozen=True)
class RolledBack:
    """What serves now, and what served before."""

    version: str
    from_version: str | None
    generation: int


def obstacle(session: Session, version: Version, floor: int) -> Guard | None:
    """Why the service may not go back to this version; None if the database knows no reason.

    The database does not know whom the version has read, nor whether the store has it whole: `way_back` finds out.

    Args:
        floor: the erasure floor in force, which may be above that of the row.
    """
    pointer = versions.current(session)
    if version.digest == pointer.digest:
        return Guard.SERVES_ALREADY
    if version.destroyed_at is not None:
        return Guard.DESTROYED
    if version.forget_epoch < max(floor, pointer.erasure_floor):
        return Guard.BELOW_FLOOR
    # A takedown that nothing had read is settled without a rise of the floor.
    erased_since = select(func.count()).where(
        ItemTakedown.erased_at.is_not(None), ItemTakedown.epoch > version.forget_epoch
    )
    if session.scalar(erased_since):
        return Guard.READ_TAKEN_ITEM
    working = session.scalar(select(func.count()).where(Run.status == RunStatus.RUNNING))
    under_way = select(func.count()).where(
        or_(ForgetRequest.status == RequestStatus.UNLEARNING, ForgetRequest.status == RequestStatus.DEPLOYING)
    )
    if working or session.scalar(under_way):
        return Guard.RUN_WORKS
    return None


def way_back(database: Database, store: Store, digest: str, *, floor: int = 0) -> WayBack:
    """Find out whether a version may serve again, and record whom the version has read that it would take the place of.

    That version stays, and nothing else would tell of its readers once it is gone. Reads the whole version, so that it
    does not turn out on a replica that a blob is damaged. Call outside of a transaction.

    Args:
        floor: an erasure floor that this process knows of, which may be above those of row and store.

    Raises:
        RollbackRefused: a guard refuses it.
        DatabaseUnavailable: the database does not answer.
    """
    with database.read() as session:
        version, left = versions.find(session, digest), versions.current(session).digest
        if version is None:
            raise RollbackRefused(Guard.NEVER_SERVED)
        _require(obstacle(session, version, floor))
    try:
        vouch_for_floor(database, store)
        manifest, _ = read_version(store, digest)
        readership = read_readership(store, digest)
        if left is not None:
            _require(_difference(manifest, store.read_manifest(left)))
            note_past_readers(database, _readership_left(store, left), readership)
    except VersionDestroyed as error:
        raise RollbackRefused(Guard.DESTROYED) from error
    except VersionBelowFloor as error:
        raise RollbackRefused(Guard.BELOW_FLOOR) from error
    except StoreError as error:
        raise RollbackRefused(Guard.NOT_IN_STORE) from error
    readers = Anybody() if readership is None else readership
    return WayBack(digest, left, manifest.forget_epoch, manifest.base_digest, readers, floor)


def roll_back(transaction: Transaction, way: WayBack, *, actor: str, now: datetime) -> RolledBack:
    """Make a version live again, by the same compare-and-swap and with the same checks as an installation.

    Raises:
        RollbackRefused: a guard refuses it. Roll the transaction back.
    """
    session = transaction.session
    lock_ledger(session)
    version = session.get_one(Version, way.version)
    # The manifest's digest protects its epoch. The row may have been edited.
    version.forget_epoch = way.forget_epoch
    _require(obstacle(session, version, way.floor))
    try:
        generation = install(
            transaction,
            version,
            parent=way.left,
            readers=way.readers,
            base_digest=way.base_digest,
            actor=actor,
            now=now,
            served_before=True,
        )
    except BelowErasureFloor as error:
        # The floor is checked above, so this is about somebody.
        raise RollbackRefused(Guard.READ_SETTLED) from error
    except PointerMoved as error:
        raise RollbackRefused(Guard.MOVED_MEANWHILE) from error
    return RolledBack(way.version, way.left, generation)


def _require(guard: Guard | None) -> None:
    if guard is not None:
        raise RollbackRefused(guard)


def _readership_left(store: Store, left: str) -> Readership | None:
    """Whom the version that is left has read. None if nothing can tell any more: then it may have read anybody."""
    return None if store.is_destroyed(left) else read_readership(store, left)


def _difference(wanted: Manifest, serving: Manifest) -> Guard | None:
    if wanted.base_digest != serving.base_digest:
        return Guard.OTHER_BASE
    if (wanted.catalogue_digest, wanted.catalogue_items) != (
        serving.catalogue_digest,
        serving.catalogue_items,
    ):
        return Guard.OTHER_ITEMS
    return None
