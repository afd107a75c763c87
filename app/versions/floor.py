"""Keeps the erasure floor in the store too, so that no edited row lets a version serve again (invariant I3).

The row rises first, in the transaction that publishes. The store's floor rises right after it, before older versions
are destroyed and before a request completes. So the row is never below the store's floor, unless somebody has edited
the row or the database was restored.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from app.db.base import utc_now
from app.db.models import Ledger
from app.db.session import Database
from app.levels import service as levels
from app.versions.queries import current
from model_store import (
    DigestMismatch,
    Floor,
    HostileArtefact,
    InvalidDigest,
    InvalidManifest,
    ManifestMissing,
    Store,
)

log = structlog.get_logger()

# Errors of an unreadable manifest. No replica can load such a version either.
_UNREADABLE = (InvalidDigest, ManifestMissing, DigestMismatch, InvalidManifest, HostileArtefact)


def vouch_for_floor(database: Database, store: Store) -> None:
    """Record the floor of the database's row in the store.

    Raises:
        StoreError: the store cannot be written or read.
        DatabaseUnavailable: the database does not answer.
    """
    with database.read(snapshot=True) as session:
        floor, epoch = current(session).erasure_floor, session.get_one(Ledger, 1).epoch
    if floor > epoch:
        # A floor above all epochs is an error of the row. The store could never lower it again, so do not record it.
        log.error("floor.beyond_epochs", floor=floor, epoch=epoch)
    elif floor > store.erasure_floor():
        store.raise_floor(Floor(floor, utc_now().isoformat()))


def is_sunk(session: Session, store: Store, vouched: int) -> bool:
    """Whether the row or the live version lies below the floor in force, because of a manual edit or a restore.

    Args:
        vouched: the store's floor, read before this session's first statement.

    Raises:
        StoreError: the store cannot be read.
    """
    serving = current(session)
    return serving.erasure_floor < vouched or lies_below(store, serving.digest, serving.erasure_floor)


@dataclass(frozen=True)
class Lifted:
    """What `lift` has changed: the former floor of the row, and the version that was taken out of service."""

    floor_before: int
    withdrawn: str | None


def lift(session: Session, store: Store, vouched: int) -> Lifted:
    """Raise the row to the store's floor. A live version below it is taken out of service; everybody gets the fallback.

    Call under the ledger's lock.
    """
    serving = current(session)
    before, live = serving.erasure_floor, serving.digest
    serving.erasure_floor = max(before, vouched)
    if not lies_below(store, live, serving.erasure_floor):
        return Lifted(before, None)
    serving.generation += 1
    serving.digest, serving.previous_digest, serving.candidate_digest = None, live, None
    serving.moved_by, serving.moved_at = "erasure-floor", utc_now()
    # The levels belong to the fit that was live.
    levels.drop_all(session)
    return Lifted(before, live)


def lies_below(store: Store, digest: str | None, floor: int) -> bool:
    """Whether the version covers less than the floor. False if its manifest cannot be read."""
    if digest is None:
        return False
    try:
        # Read the manifest and not the version's row: the digest protects the manifest against edits.
        return store.read_manifest(digest).forget_epoch < floor
    except _UNREADABLE:
        return False
