"""What the surroundings do to a run is waited out: no claim, no outcome and nobody's attention is lost (I14).

Of the surroundings are: a store that is full, read-only or out of reach, a database that does not answer, replicas that
are silent, and this worker's own base where another is live. Everything else is the run's own, and a kill always is: a
run that kills its worker must come to an end.
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
from worker.publication import ReplicasSilent
from worker.sweeping import sweep_store

log = structlog.get_logger()


# A manifest is never deleted: without that of the live version this is the empty folder of a mount that was lost.
SURROUNDINGS = (StoreFull, StoreReadOnly, StoreUnavailable, ManifestMissing, ReplicasSilent, OtherBase)


def code_of(error: Exception) -> str:
    """The error's name as a `detail_code`: a `DetailCode`, unless it is a defect."""
    name = type(error).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def wait_out(process: WorkerProcess, claim: Claim, error: Exception) -> None:
    """Look again after a pause, however often.

    Raises:
        DatabaseUnavailable: that cannot be recorded.
    """
    try:
        _record(process, claim, code_of(error), str(error))
    except FenceLost:
        log.warning("run.taken_over", fence=claim.fence)


def say_unclaimed(process: WorkerProcess, run_id: str, error: StoreError) -> None:
    """The timeline cannot be looked at, so that nothing may be claimed: whoever waits for the run can see why.

    Raises:
        DatabaseUnavailable: that cannot be recorded.
    """
    log.error("run.store_unavailable", error=type(error).__name__, detail=str(error))
    with process.database.unit_of_work() as session:
        outages.say_unclaimed(
            session, run_id, code=code_of(error), detail=str(error), now=database_now(session)
        )


def return_claims(process: WorkerProcess) -> None:
    """Give back what ended while the database was away, now that it answers.

    Raises:
        DatabaseUnavailable: it still does not. What is left is tried again with the next call.
    """
    while True:
        try:
            claim = process.unreturned.get_nowait()
        except Empty:
            return
        try:
            _return(process, claim)
        except DatabaseRewound:
            # It was of a database that is no more; whoever joins the one that is gives its claims back.
            log.warning("run.taken_over", fence=claim.fence)
        except DatabaseUnavailable:
            process.unreturned.put(claim)
            raise


def _return(process: WorkerProcess, claim: Claim) -> None:
    """After a pause: a database that fails one statement of a run, and no other, would be asked without end."""
    try:
        _record(process, claim, DetailCode.DATABASE_UNAVAILABLE, "the database did not answer during the run")
    except FenceLost:
        log.warning("run.taken_over", fence=claim.fence)
        with process.database.unit_of_work() as session:
            outages.uncount(session, claim)
        sweep_store(process)


def hand_back(process: WorkerProcess, claim: Claim, *, first_step: int | None = None) -> None:
    """End a claim without counting it, so that the run may be claimed again at once, to start at this rung.

    Raises:
        DatabaseUnavailable: that cannot be recorded.
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
