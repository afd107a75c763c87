"""After every replica serves the new version: delete the subjects' data, destroy what is older, close the requests."""

from __future__ import annotations

import structlog

from app.db import completion, pointer
from app.db.clock import database_now
from app.db.runs import Claim
from worker.process import WorkerProcess
from worker.readership import read_by_version
from worker.standing import Standing

log = structlog.get_logger()


def complete(process: WorkerProcess, claim: Claim, standing: Standing) -> None:
    """Erase, destroy, complete, in this order and each repeatable, so that a kill in between only delays.

    Raises:
        FenceLost: another worker does the rest.
        StoreError: a version could not be destroyed; the requests stay open.
    """
    with process.database.unit_of_work() as session:
        rows = completion.erase_subjects(
            session, process.audit, claim, unread=standing.unread, base_digest=process.base.digest
        )
    process.database.truncate_write_ahead_log()
    destroyed = _destroy_ineligible_versions(process, claim)
    with process.database.unit_of_work() as session:
        completion.complete(session, process.audit, claim, now=database_now(session))
    log.info("run.completed", rows_erased=rows, versions_destroyed=destroyed)


def _destroy_ineligible_versions(process: WorkerProcess, claim: Claim) -> int:
    """Destroy every version below the erasure floor, and whatever else has read the subjects and does not serve.

    Their adapters and cached statistics still hold the subjects: superseded versions, candidates that a killed run left
    unpublished. Replicas no longer need the bytes: the live version is in their memory, and nothing below the floor may
    be loaded again.
    """
    with process.database.read() as session:
        floor = pointer.current(session).erasure_floor
        live = pointer.current(session).digest
        on_record = completion.destroyed(session)
    readers = read_by_version(process.store, claim.subjects, but=live)
    destroyed = 0
    for digest in process.store.versions():
        # Manifests stay for ever: a service that forgets daily must not read them all again each time. But the store is
        # asked, because its bytes may have come back with a restored copy.
        settled = digest in on_record and process.store.is_destroyed(digest)
        if digest == live or settled:
            continue
        if process.store.read_manifest(digest).forget_epoch >= floor and not readers.get(digest):
            continue
        if not process.store.is_destroyed(digest):
            process.store.destroy(digest)
            destroyed += 1
        # Also for one that a killed worker had destroyed without getting to say so.
        with process.database.unit_of_work() as session:
            completion.mark_destroyed(session, process.audit, claim, digest, now=database_now(session))
    # A worker killed between blobs and manifest left weights that no version names.
    process.store.delete_orphans()
    return destroyed
