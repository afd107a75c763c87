"""Removes from the store what a worker left that was killed or that woke up after its run had been taken over."""

from __future__ import annotations

import structlog

from app.db.errors import DatabaseUnavailable
from app.versions import queries as pointer
from model_store import StoreError
from worker.process import WorkerProcess

log = structlog.get_logger()


def sweep_store(process: WorkerProcess) -> None:
    """Destroy unpublished versions below the erasure floor, blobs without a version and unfinished files.

    This is safe at any time and needs no lock. A version below the floor that is not on record can never be published,
    because the floor only grows; the store refuses a publication under way, which is then repeated. Published versions
    are left to the runs that complete. What cannot be removed now is only logged: the next completion removes it, and
    does not complete before that.
    """
    try:
        _sweep(process)
    except (DatabaseUnavailable, StoreError) as error:
        log.error("store.not_swept", error=type(error).__name__)


def _sweep(process: WorkerProcess) -> None:
    with process.database.read() as session:
        floor, live = pointer.current(session).erasure_floor, pointer.current(session).digest
        published = pointer.published(session)
    if live is not None:
        # If its manifest is lost, its blobs look like those of an interrupted publication.
        process.store.read_manifest(live)
    for digest in process.store.versions():
        if digest in published or process.store.is_destroyed(digest):
            continue
        if process.store.read_manifest(digest).forget_epoch < floor:
            process.store.destroy(digest)
            log.warning("version.swept", version=digest)
    process.store.delete_orphans()
