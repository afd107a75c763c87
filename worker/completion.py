"""The end of a run, after every replica serves the new version.

Delete the subjects' data, destroy older versions, close the requests.
"""

from __future__ import annotations

import structlog

from app.db.models import RunKind, RunStage
from app.db.reclaiming import reclaim
from app.readers.readership import read_by_version
from app.runs import completion
from app.runs.service import Claim, owned
from app.takedowns import service as takedowns
from app.versions import queries as version_queries
from app.versions import service as versions
from app.versions.parts import Surroundings, of_version
from worker import taken_items
from worker.anchoring import anchor
from worker.process import WorkerProcess
from worker.taken_items import LeftOut

log = structlog.get_logger()


def complete(
    process: WorkerProcess, claim: Claim, taken: LeftOut, *, unread: frozenset[str] = frozenset()
) -> None:
    """Erase, destroy and complete, in this order. Each step is repeatable, so a kill in between only delays.

    Args:
        taken: items that were taken down, and that the version has left out that every replica has acknowledged.
        unread: the subjects whom nothing has read.

    Raises:
        FenceLost: another worker holds the run and does the rest.
        StoreError: the floor was not vouched for, or a version was not destroyed; the requests stay open.
    """
    with process.transaction() as transaction:
        rows = completion.erase_subjects(transaction, claim, unread=unread, base_digest=process.base.digest)
    rows += taken_items.erase(process, claim, taken)
    # A run that published no version raises the floor only in this transaction.
    anchor(process.database, process.audit, process.store)
    # Also by whoever goes on after a kill, and by a consolidation: what was held back before is free by then.
    if rows or claim.stage == RunStage.ERASING or claim.kind == RunKind.CONSOLIDATION:
        _reclaim(process, claim)
    destroyed = _destroy_ineligible_versions(process, claim, taken)
    with process.transaction() as transaction:
        session = transaction.session
        around = Surroundings(process.base.digest, process.base.style.candidates is not None)
        parts = of_version(session, version_queries.of_run(session, claim.run_id), around)
        now = transaction.now()
        completion.complete(transaction, claim, parts, now=now)
        # A version that was installed meanwhile has not been acknowledged.
        if version_queries.current(session).digest == taken.version:
            takedowns.settle(transaction, claim, taken.takedowns, version=taken.version, now=now)
    log.info("run.completed", rows_erased=rows, versions_destroyed=destroyed)


def _reclaim(process: WorkerProcess, claim: Claim) -> None:
    reclaimed = reclaim(process.database, rewrite_up_to_bytes=process.settings.rewrite_tables_up_to_bytes)
    with process.transaction() as transaction:
        completion.record_reclaimed(transaction, claim, reclaimed)
    log.info("rows.reclaimed", result=reclaimed)


def _destroy_ineligible_versions(process: WorkerProcess, claim: Claim, taken: LeftOut) -> int:
    """Destroy every version below the erasure floor, and every other version that has read the subjects or events of
    these items, except the live one.

    These are superseded versions and candidates that a killed run left unpublished; their adapters still hold the
    subjects. Replicas no longer need the bytes: the live version is in their memory, and nothing below the floor may
    be loaded again.

    The database decides what is destroyed, one run at a time: under the ledger's lock, for a worker that holds the
    run's fence, and only about versions that were listed before. None of these can become live any more: a worker that
    made one of them and has not published it holds an older fence. So the decision stays true even if the fence is lost
    while the store deletes. Two workers that delete the same version do no harm.
    """
    # List before deciding: a version that appears later may be the next run's, and become live during this loop.
    stored = process.store.versions()
    vouched = process.store.erasure_floor()
    with process.transaction() as transaction:
        # Taking the lock shows whether the database was restored meanwhile. A restored database may name another live
        # version, and then the version that really serves would be destroyed.
        session = transaction.session
        owned(session, claim.run_id, claim.fence)
        floor = max(vouched, version_queries.current(session).erasure_floor)
        live = version_queries.current(session).digest
        on_record = version_queries.destroyed(session)
    if live is not None:
        # Fail if the store is not mounted: an empty folder would look as if every version had been destroyed.
        process.store.read_manifest(live)
    readers = read_by_version(process.store, claim.subjects, but=live)
    destroyed = 0
    for digest in stored:
        # Manifests stay for ever, so do not read every one of them at each completion. But ask the store whether the
        # version is destroyed: a restored copy of the store may have brought its bytes back.
        settled = digest in on_record and process.store.is_destroyed(digest)
        if digest == live or settled:
            continue
        eligible = process.store.read_manifest(digest).forget_epoch >= floor and not readers.get(digest)
        if eligible and not taken_items.may_know(process.store, digest, taken):
            continue
        if not process.store.is_destroyed(digest):
            process.store.destroy(digest)
            destroyed += 1
        # Also for a version that a killed worker destroyed without recording it.
        with process.transaction() as transaction:
            versions.mark_destroyed(transaction, claim, digest, now=transaction.now())
    # Weights that no version names: a worker was killed between blobs and manifest, or inside a blob.
    process.store.delete_orphans()
    return destroyed
