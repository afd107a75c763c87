"""Outages: a run waits out an error of its surroundings, which costs no claim and needs no person (I14).

The surroundings are: a store that is full, read-only or out of reach, a database that does not answer, silent replicas,
and a live version on another base than this worker's. Every other error counts against the run. So does a kill, always:
a run that kills its worker must come to an end.
"""

from __future__ import annotations

from datetime import timedelta
from queue import Empty

import structlog

from app.codes import DetailCode
from app.db.clock import database_now
from app.db.errors import DatabaseRewound, DatabaseUnavailable, FenceLost
from app.runs import outages
from app.runs import service as runs
from app.runs.outages import Pauses
from app.runs.service import Claim
from model_store import ManifestMissing, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from worker.live_base import OtherBase
from worker.process import WorkerProcess
from worker.publication import EnginesSilent, ReplicasSilent
from worker.sweeping import sweep_store

log = structlog.get_logger()


# `ManifestMissing` is an outage because manifests are never deleted: the store is then the empty folder of a lost
# mount.
SURROUNDINGS = (
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    ManifestMissing,
    ReplicasSilent,
    EnginesSilent,
    OtherBase,
)


def code_of(error: Exception) -> str:
    """The error's class name in snake case: a `DetailCode`, unless the error is a defect."""
    name = type(error).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def wait_out(process: WorkerProcess, claim: Claim, error: Exception) -> None:
    """Put the run off until after a pause. The number of pauses has no limit.

    Raises:
        DatabaseUnavailable: the pause cannot be recorded.
    """
    try:
        _record(process, claim, code_of(error), str(error))
    except FenceLost:
        log.warning("run.taken_over", fence=claim.fence)


def say_unclaimed(process: WorkerProcess, run_id: str, error: StoreError) -> None:
    """Record on the run that nothing may be claimed, because the store does not show its timeline.

    Raises:
        DatabaseUnavailable: this cannot be recorded.
    """
    log.error("run.store_unavailable", error=type(error).__name__, detail=str(error))
    with process.database.unit_of_work() as session:
        outages.say_unclaimed(
            session, run_id, code=code_of(error), detail=str(error), now=database_now(session)
        )


def return_claims(process: WorkerProcess) -> None:
    """Hand back the claims that ended while the database was away.

    Raises:
        DatabaseUnavailable: the database still does not answer. The next call tries the remaining claims again.
    """
    while True:
        try:
            claim = process.unreturned.get_nowait()
        except Empty:
            return
        try:
            _return(process, claim)
        except DatabaseRewound:
            # The claim belongs to a database that no longer exists. Joining the new timeline frees the claims in it.
            log.warning("run.taken_over", fence=claim.fence)
        except DatabaseUnavailable:
            process.unreturned.put(claim)
            raise


def _return(process: WorkerProcess, claim: Claim) -> None:
    """Put the run off until after a pause. If the database fails only one statement of the run, the run would otherwise
    be claimed again at once, without end.
    """
    try:
        _record(process, claim, DetailCode.DATABASE_UNAVAILABLE, "the database did not answer during the run")
    except FenceLost:
        log.warning("run.taken_over", fence=claim.fence)
        with process.database.unit_of_work() as session:
            outages.uncount(session, claim)
        sweep_store(process)


def hand_back(process: WorkerProcess, claim: Claim, *, first_step: int | None = None) -> None:
    """End a claim without counting it. The run may be claimed again at once, and then starts at `first_step`.

    Raises:
        DatabaseUnavailable: this cannot be recorded.
    """
    try:
        with process.transaction() as transaction:
            runs.hand_back(transaction, claim, transaction.now(), first_step=first_step)
        log.warning("run.handed_back", fence=claim.fence)
    except FenceLost:
        log.warning("run.taken_over", fence=claim.fence)


def _record(process: WorkerProcess, claim: Claim, code: str, detail: str) -> None:
    settings = process.settings
    pauses = Pauses(
        timedelta(seconds=settings.outage_pause_seconds),
        timedelta(seconds=settings.longest_outage_pause_seconds),
    )
    with process.transaction() as transaction:
        outages.wait_out(transaction, claim, code=code, detail=detail, pauses=pauses, now=transaction.now())
    log.error("run.held_up", code=code, detail=detail)
