"""Makes an earlier version serve again, if it knows nobody who has been forgotten (invariant I3)."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.errors import BelowErasureFloor, DatabaseError, PointerMoved
from app.db.models import Version
from app.db.session import Database
from app.versions import queries as version_queries
from app.versions import service as pointer
from app.versions.floor import vouch_for_floor
from model_store import Manifest, Store, VersionBelowFloor, read_version
from worker.past_readers import note_past_readers
from worker.readership import Anybody, read_readership

_INSTEAD = "fit anew without them (lethe consolidate), or bring another adapter (lethe versions import)"


class RollbackRefused(DatabaseError):
    """The version may not serve again."""


def roll_back(database: Database, audit: AuditLog, store: Store, digest: str) -> int:
    """Move the pointer from the live version back to this one. Returns the new generation.

    Behind a forget request there is no way back: a version that covers less than the erasure floor, or that has read
    somebody whose request is settled, stays out of service for good.

    Raises:
        RollbackRefused: the message is one line that says why.
        StoreError: the version, or the live one, cannot be read.
        PointerMoved: another version became live meanwhile.
    """
    with database.read() as session:
        serving, row = version_queries.current(session), version_queries.find(session, digest)
        live, floor = serving.digest, serving.erasure_floor
    if row is None:
        raise RollbackRefused(
            f"version {digest} has never served here; lethe versions import takes adapters from outside"
        )
    if digest == live:
        raise RollbackRefused(f"version {digest} serves already")
    if row.destroyed_at is not None or store.is_destroyed(digest):
        raise RollbackRefused(f"version {digest} is destroyed: its weights do not exist any more; {_INSTEAD}")
    try:
        # The whole version: it must not turn out on a replica that a blob is damaged.
        manifest, _ = read_version(store, digest)
    except VersionBelowFloor as error:
        raise RollbackRefused(
            f"{error}: it knows somebody who has been forgotten since; {_INSTEAD}"
        ) from error
    if manifest.forget_epoch < floor:
        raise RollbackRefused(
            f"version {digest} covers epoch {manifest.forget_epoch}, below the erasure floor {floor}: it knows "
            f"somebody who has been forgotten since; {_INSTEAD}"
        )
    readership = read_readership(store, digest)
    if live is not None and not store.is_destroyed(live):
        _require_same_base(manifest, store.read_manifest(live))
        note_past_readers(database, read_readership(store, live), readership)
    try:
        with Transaction.begin(database, audit) as transaction:
            generation = pointer.install(
                transaction,
                _again(transaction.session, digest),
                parent=live,
                readers=Anybody() if readership is None else readership,
                base_digest=manifest.base_digest,
                actor="lethe versions rollback",
                now=transaction.now(),
            )
    except BelowErasureFloor as error:
        raise RollbackRefused(
            f"version {digest} has read somebody whose request is settled: it stays out of service; {_INSTEAD}"
        ) from error
    vouch_for_floor(database, store)
    return generation


def _again(session: Session, digest: str) -> Version:
    """The version's row as it is: when it was first published stays on record."""
    version = session.get(Version, digest)
    if version is None:
        raise PointerMoved
    return version


def _require_same_base(wanted: Manifest, live: Manifest) -> None:
    if wanted.base_digest != live.base_digest:
        raise RollbackRefused(
            f"that version belongs to another base ({wanted.base_digest[:16]}; the live one's: {live.base_digest[:16]})"
        )
    if (wanted.catalogue_digest, wanted.catalogue_items) != (live.catalogue_digest, live.catalogue_items):
        raise RollbackRefused(
            "that version was made for other items than the live one: every replica would refuse it"
        )
