"""The erasure floor's second witness: the store, so that no edited row lets a version serve again (invariant I3).

The row rises first, in the transaction that publishes, and the store right after it, before anything older is
destroyed and before a request completes. The row is therefore never below the store, unless somebody has edited it or
the database was restored.
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

# No replica can load such a version either.
_UNREADABLE = (InvalidDigest, ManifestMissing, DigestMismatch, InvalidManifest, HostileArtefact)


def vouch_for_floor(database: Database, store: Store) -> None:
    """Have the store vouch for the floor of the row.

    Raises:
        StoreError: the store cannot be written or read.
        DatabaseUnavailable: nobody answers.
    """
    with database.read(snapshot=True) as session:
        floor, epoch = current(session).erasure_floor, session.get_one(Ledger, 1).epoch
    if floor > epoch:
        # Nothing that was handed out reaches it. The store never takes a floor back, so it does not take this one.
        log.error("floor.beyond_epochs", floor=floor, epoch=epoch)
    elif floor > store.erasure_floor():
        store.raise_floor(Floor(floor, utc_now().isoformat()))


def is_sunk(session: Session, store: Store, vouched: int) -> bool:
    """Whether the row of the floor or the live version lies below what must hold: edited by hand, or restored.

    Args:
        vouched: the store's floor, read before this session's first statement.

    Raises:
        StoreError: the store cannot be read.
    """
    serving = current(session)
    return serving.erasure_floor < vouched or lies_below(store, serving.digest, serving.erasure_floor)


@dataclass(frozen=True)
class Lifted:
    """What was mended: the floor that was found in the row, and the version that was taken out of service."""

    floor_before: int
    withdrawn: str | None


def lift(session: Session, store: Store, vouched: int) -> Lifted:
    """Raise the row to what the store vouches for; a live version below it goes, and everybody gets the fallback.

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
    # They belong to the fit that was live.
    levels.drop_all(session)
    return Lifted(before, live)


def lies_below(store: Store, digest: str | None, floor: int) -> bool:
    """Whether it is a version that covers less; not of one whose manifest cannot be read."""
    if digest is None:
        return False
    try:
        # The manifest and not the row of the version: it is named by its digest, and cannot be edited.
        return store.read_manifest(digest).forget_epoch < floor
    except _UNREADABLE:
        return False
