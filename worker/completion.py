"""After every replica serves the new version: delete the subjects' data, destroy what is older, close the requests."""

from __future__ import annotations

import structlog

from app.db.models import RunKind, RunStage
from app.db.reclaiming import reclaim
from app.runs import completion
from app.runs.service import Claim, owned
from app.versions import queries as version_queries
from app.versions import service as versions
from app.versions.parts import Surroundings, of_version
from worker.anchoring import anchor
from worker.process import WorkerProcess
from worker.readership import read_by_version

log = structlog.get_logger()


def complete(process: WorkerProcess, claim: Claim, *, unread: frozenset[str] = frozenset()) -> None:
    """Erase, destroy, complete, in this order and each repeatable, so that a kill in between only delays.

    Args:
        unread: the subjects whom nothing has read.

    Raises:
        FenceLost: another worker does the rest.
        StoreError: the floor was not vouched for, or a version not destroyed; the requests stay open.
    """
    with process.transaction() as transaction:
        rows = completion.erase_subjects(transaction, claim, unread=unread, base_digest=process.base.digest)
    # Without a version to publish, the floor has risen only now.
    anchor(process)
    # Also by whoever goes on after a kill, and by a consolidation: what was held back before is free by then.
    if rows or claim.stage == RunStage.ERASING or claim.kind == RunKind.CONSOLIDATION:
        _reclaim(process, claim)
    destroyed = _destroy_ineligible_versions(process, claim)
    with process.transaction() as transaction:
        session = transaction.session
        around = Surroundings(process.base.digest, process.base.style.candidates is not None)
        parts = of_version(session, version_queries.of_run(session, claim.run_id), around)
        completion.complete(transaction, claim, parts, now=transaction.now())
    log.info("run.completed", rows_erased=rows, versions_destroyed=destroyed)


def _reclaim(process: WorkerProcess, claim: Claim) -> None:
    reclaimed = reclaim(process.database, rewrite_up_to_bytes=process.settings.rewrite_tables_up_to_bytes)
    with process.transaction() as transaction:
        completion.record_reclaimed(transaction, claim, reclaimed)
    log.info("rows.reclaimed", result=reclaimed)


def _destroy_ineligible_versions(process: WorkerProcess, claim: Claim) -> int:
    """Destroy every version below the erasure floor, and whatever else has read the subjects and does not serve.

    Their adapters still hold the subjects: superseded versions, candidates that a killed run left
    unpublished. Replicas no longer need the bytes: the live version is in their memory, and nothing below the floor may
    be loaded again.

    The database decides what goes, one run at a time: under the ledger's lock, by a worker that holds the run's fence,
    about versions that were in the store before. None of these can become live any more, because whoever made one of
    them and has not published it holds an older fence. So the decision stays true although the fence may be lost while
    the store deletes, and that two workers delete the same is harmless.
    """
    # Before the decision: one that is not there yet may be the next run's, and live before this worker comes to it.
    stored = process.store.versions()
    vouched = process.store.erasure_floor()
    with process.transaction() as transaction:
        # Under the lock, which shows whether the database was restored meanwhile: then another version would seem to be
        # live, and the one that serves would go.
        session = transaction.session
        owned(session, claim.run_id, claim.fence)
        floor = max(vouched, version_queries.current(session).erasure_floor)
        live = version_queries.current(session).digest
        on_record = version_queries.destroyed(session)
    if live is not None:
        # Or an empty folder where the store is mounted would pass for one in which everything has been destroyed.
        process.store.read_manifest(live)
    readers = read_by_version(process.store, claim.subjects, but=live)
    destroyed = 0
    for digest in stored:
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
        with process.transaction() as transaction:
            versions.mark_destroyed(transaction, claim, digest, now=transaction.now())
    # Weights that no version names: of a worker killed between blobs and manifest, or inside a blob.
    process.store.delete_orphans()
    return destroyed
