"""Removing from the store what nobody owns any more: of a worker that was killed, or that woke up too late."""

from __future__ import annotations

import structlog

from app.db.errors import DatabaseUnavailable
from app.versions import queries as pointer
from model_store import StoreError
from worker.process import WorkerProcess

log = structlog.get_logger()


def sweep_store(process: WorkerProcess) -> None:
    """Destroy unpublished versions below the erasure floor, blobs without a version and unfinished files.

    Safe at any time, and under no lock: what is below the floor and not on record can never be published, because the
    floor only grows, and a publication under way is refused by the store and repeated.
    The record of published versions is kept by the runs that complete. What cannot be removed now is only logged: the
    next completion comes for it, and does not complete without.
    """
    try:
        _sweep(process)
    except (DatabaseUnavailable, StoreError) as error:
        log.error("store.not_swept", error=type(error).__name__)


def _sweep(process: WorkerProcess) -> None:
    with process.database.read() as session:
        floor = pointer.current(session).erasure_floor
        published = pointer.published(session)
    for digest in process.store.versions():
        if digest in published or process.store.is_destroyed(digest):
            continue
        if process.store.read_manifest(digest).forget_epoch < floor:
            process.store.destroy(digest)
            log.warning("version.swept", version=digest)
    process.store.delete_orphans()
