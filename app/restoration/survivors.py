"""Chooses what a restored database serves: its live version may have been replaced after the backup was taken."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.audit.events import VersionSurvived
from app.db.models import ServingPointer, Version
from app.levels import service as levels
from app.readers.service import add_everybody_as_past_readers
from app.versions.floor import lies_below
from model_store import DigestMismatch, HostileArtefact, InvalidManifest, Manifest, ManifestMissing, Store

log = structlog.get_logger()


def replace_unservable(
    session: Session, store: Store, *, floor: int, store_lost: bool, now: datetime
) -> VersionSurvived | None:
    """If the live version is destroyed, below the floor or lost, let the newest version made by a run serve instead.

    No replica would load the old version, so every run would wait for an acknowledgement for ever. Its readership is no
    longer known, so everybody with stored events counts as read by it. Call this in the transaction that starts a
    timeline, under the ledger's lock.

    Args:
        floor: the floor in the store.
        store_lost: the live version was in another store, which is lost.
    """
    pointer = session.get_one(ServingPointer, 1)
    gone = pointer.digest
    floor = max(floor, pointer.erasure_floor)
    if gone is None or not (store_lost or store.is_destroyed(gone) or lies_below(store, gone, floor)):
        return None
    add_everybody_as_past_readers(session)
    digest, manifest = _newest(store, gone, floor=floor)
    if manifest is not None:
        pointer.erasure_floor = manifest.forget_epoch
        _record(session, digest, manifest, now)
    pointer.generation += 1
    pointer.digest, pointer.previous_digest, pointer.candidate_digest = digest, gone, None
    pointer.moved_by, pointer.moved_at = "erasure-journal", now
    # The restored levels may be of another fit, or of a smaller catalogue.
    levels.drop_all(session)
    log.warning("version.survived", version=digest, replaced=gone)
    return VersionSurvived(digest, gone, pointer.generation, pointer.erasure_floor)


def _newest(store: Store, gone: str, *, floor: int) -> tuple[str | None, Manifest | None]:
    found: list[tuple[int, str, str, Manifest]] = []
    base = _manifest(store, gone)
    for digest in store.versions() if base is not None else ():
        manifest = None if store.is_destroyed(digest) else _manifest(store, digest)
        if manifest is None or base is None or manifest.base_digest != base.base_digest:
            continue
        # Only versions that the gate has let through have a policy. A first fit has none, and may have been refused.
        if manifest.policy_hash and manifest.forget_epoch >= floor:
            found.append((manifest.forget_epoch, manifest.created_at, digest, manifest))
    if not found:
        return None, None
    *_, digest, manifest = max(found, key=lambda one: one[:3])
    return digest, manifest


def _manifest(store: Store, digest: str) -> Manifest | None:
    # Skip a damaged manifest: it is refused wherever it is read.
    with suppress(ManifestMissing, DigestMismatch, InvalidManifest, HostileArtefact):
        return store.read_manifest(digest)
    return None


def _record(session: Session, digest: str | None, manifest: Manifest, now: datetime) -> None:
    if session.get(Version, digest) is None:
        session.add(
            Version(
                digest=digest,
                parent_digest=manifest.parent,
                forget_epoch=manifest.forget_epoch,
                method=manifest.method,
                exact=bool(manifest.report.get("exact", False)),
                published_at=now,
            )
        )
