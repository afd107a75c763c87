"""From an accepted candidate to the version every replica serves: store, prepare, swap, acknowledge."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import safetensors.torch
import structlog
from sqlalchemy.orm import Session

from app.codes import ReplicaError
from app.db.clock import database_now
from app.db.models import Replica, RunStage, Version
from app.readers.past_readers import note_past_readers
from app.readers.readership import Readership
from app.replicas.queries import live_replicas, silent_engines
from app.runs import completion
from app.runs.service import Claim
from app.versions import queries as version_queries
from app.versions import service as pointer
from unlearning import utility_change
from worker import taken_items
from worker.attempts import Chosen
from worker.lease import Lease
from worker.live_base import OtherBase
from worker.process import WorkerProcess
from worker.taken_items import LeftOut
from worker.versions import ARTEFACTS, FitRecord, LoadedVersion, store_version

log = structlog.get_logger()

_LOOK_EVERY_SECONDS = 0.1

# Errors of a replica about a version that no replica could load. Any other error may concern this replica only, and
# may pass.
_UNFIT = frozenset(
    {
        ReplicaError.WRONG_BASE,
        ReplicaError.CORRUPT_VERSION,
        ReplicaError.INCOMPATIBLE_ADAPTER,
        ReplicaError.FINGERPRINT_MISMATCH,
    }
)


class CandidateRefused(Exception):
    """A replica could not load the candidate, so it was not published."""


class ReplicasSilent(Exception):
    """A live replica has not acknowledged the new version in time. It is published; the run waits again."""


class EnginesSilent(Exception):
    """A replica fell silent whose engine lies outside its process and may hold what it held. The run waits again."""


def readership_of(parent: LoadedVersion, chosen: Chosen) -> Readership | None:
    """Whom the candidate has read. An edit trains on retained users too, and one of them may have been left out of the
    fit: their request was withdrawn since.
    """
    retained = chosen.data.retained_subjects
    if chosen.report.exact:
        return Readership.of(retained)
    if parent.readership is None or all(subject in parent.readership for subject in retained):
        return parent.readership
    return Readership.of([*parent.readership, *retained], partly=parent.readership.partly)


def publish_candidate(
    process: WorkerProcess, claim: Claim, parent: LoadedVersion, chosen: Chosen, fit: FitRecord, lease: Lease
) -> Claim:
    """Store blobs and manifest, let the replicas prepare, and move the serving pointer in one transaction.

    Args:
        fit: how the candidate was fitted; the parent's record if the candidate is an edit of the parent.

    Returns:
        The claim, past the point of no return, with the requests that the version serves.

    Raises:
        FenceLost, PointerMoved, BelowErasureFloor, StoreError: nothing was published.
        CandidateRefused: a replica cannot load the candidate; nothing was published.
    """
    artefacts = {}
    if chosen.candidate.artefacts:
        artefacts[ARTEFACTS] = safetensors.torch.save(dict(chosen.candidate.artefacts))
    lease.check()
    # An exact fit covers everybody whom its data left out, including those suppressed since the claim.
    forget_epoch = fit.excludes_up_to_epoch if chosen.report.exact else claim.covers_epoch
    readership = readership_of(parent, chosen)
    digest = store_version(
        process.store,
        process.base,
        chosen.candidate.adapter,
        parent=parent.digest,
        forget_epoch=forget_epoch,
        method=chosen.method,
        config=chosen.config,
        report=json.loads(chosen.report.to_json()),
        policy_hash=process.policy.hash,
        fit=fit,
        readership=readership,
        artefacts=artefacts,
    )
    if chosen.report.exact:
        note_past_readers(process.database, parent.readership, readership)
    with process.database.unit_of_work() as session:
        pointer.announce_candidate(session, claim, digest)
    _wait_until_prepared(process, digest, lease)
    version = Version(
        digest=digest,
        parent_digest=parent.digest,
        forget_epoch=forget_epoch,
        method=chosen.method,
        exact=chosen.report.exact,
        subjects=len(chosen.data.subjects),
        utility_change=utility_change(chosen.report),
        run_id=claim.run_id,
    )
    with process.transaction() as transaction:
        version.published_at = now = transaction.now()
        generation = pointer.publish(
            transaction,
            claim,
            version,
            watermark=fit.watermark if parent.catalogue_digest == process.base.catalogue_digest else None,
            base_digest=process.base.digest,
            now=now,
            split=chosen.split,
        )
    leaving = {*chosen.split.returned, *chosen.split.exhausted}
    served = tuple(request for request in claim.requests if request.id not in leaving)
    log.info(
        "version.published",
        version=digest,
        generation=generation,
        method=chosen.method,
        requests=len(served),
        split_out=len(leaving),
    )
    return replace(claim, stage=RunStage.PUBLISHED, requests=served)


def _wait_until_prepared(process: WorkerProcess, digest: str, lease: Lease) -> None:
    """Let every live replica load the candidate off its request path.

    A slow replica does not delay the erasure: it catches up after the swap, and until then its check of the erasure
    floor makes it answer with the fallback. A replica that reports an error stops the publication, because the others
    would fail the same way.
    """
    lease.note("replicas prepare")
    slow = _wait(
        process,
        lease,
        lambda replica: replica.ready_digest == digest or replica.live_digest == digest,
        process.settings.prepare_timeout_seconds,
    )
    if any(replica.error == ReplicaError.WRONG_CATALOGUE for replica in slow):
        raise OtherBase("a replica does not hold this worker's items yet: restart it with the new catalogue")
    failed = [replica.error for replica in slow if replica.error in _UNFIT]
    if failed:
        raise CandidateRefused(f"{len(failed)} replica(s) report {failed[0]}")
    if slow:
        log.warning("replicas.slow_to_prepare", replicas=len(slow))


def wait_for_acknowledgement(process: WorkerProcess, claim: Claim, lease: Lease) -> LeftOut:
    """Return once every live replica serves the live generation, enforces the suppression of the run's subjects and
    no longer holds the parent version in memory, nor any other one if items are to be erased or if its engine outlives
    it. A silent replica's memory is gone, but an engine outside of it has to be heard of again.

    Returns:
        The items that were taken down, and that the version has left out.

    Raises:
        ReplicasSilent: a live replica did not do so in time.
        EnginesSilent: nobody vouches for the engine of a silent replica.
        FenceLost: another worker took the run over.
    """
    lease.note("replicas acknowledge")
    taken = taken_items.left_out(process)
    with process.database.read() as session:
        serving = version_queries.current(session)
        generation, digest = serving.generation, serving.digest

    def acknowledged(replica: Replica) -> bool:
        serves = replica.generation >= generation and replica.live_digest == digest
        released = claim.parent_digest == digest or claim.parent_digest not in replica.resident_versions
        # A version that some replica still holds may have read events of the items. An engine outside the process may
        # hold a version older than the parent, which an earlier process has left there.
        whole = bool(taken.takedowns) or replica.outside_engine is not None
        alone = not whole or set(replica.resident_versions) <= {digest}
        return serves and released and alone and replica.epoch >= claim.covers_epoch

    missing = _wait(process, lease, acknowledged, process.settings.acknowledge_timeout_seconds)
    if missing:
        errors = sorted({replica.error or "no error reported" for replica in missing})
        raise ReplicasSilent(f"{len(missing)} live replica(s) have not acknowledged: {', '.join(errors)}")
    with process.transaction() as transaction:
        _require_no_silent_engine(process, transaction.session)
        replicas = _live(process, transaction.session)
        completion.record_acknowledged(transaction, claim, generation=generation, replicas=len(replicas))
    return taken if taken.version == digest else taken_items.NOTHING


def _require_no_silent_engine(process: WorkerProcess, session: Session) -> None:
    timeout = timedelta(seconds=process.settings.replica_timeout_seconds)
    silent = silent_engines(session, now=database_now(session), timeout=timeout)
    if silent:
        names = ", ".join(replica.id for replica in silent)
        raise EnginesSilent(
            f"the vLLM server of a gateway that fell silent may hold older versions ({names}): start that gateway "
            "again, or stop the server, empty its folder for adapters, and run: lethe replicas retire NAME"
        )


def _wait(
    process: WorkerProcess, lease: Lease, holds: Callable[[Replica], bool], seconds: float
) -> list[Replica]:
    """Wait until ``holds`` is true for every live replica, for at most `seconds`; the replicas for which it is not."""
    deadline = time.monotonic() + seconds
    while True:
        lease.check()
        with process.database.read() as session:
            replicas = _live(process, session)
        missing = [replica for replica in replicas if not holds(replica)]
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(_LOOK_EVERY_SECONDS)


def _live(process: WorkerProcess, session: Session) -> Sequence[Replica]:
    timeout = timedelta(seconds=process.settings.replica_timeout_seconds)
    return live_replicas(session, now=database_now(session), timeout=timeout)
