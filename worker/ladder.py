"""Tries the policy's ladder rung by rung, with the gate's verdict on each, until at least one request is served.

`worker.splitting` decides which requests are served and which leave the run. This module gives it models, clock and
database.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

from app.attempts import queries as attempts
from app.db.clock import database_now
from app.runs.service import Claim
from app.runs.splitting import SplitOut
from recommender import Interrupted
from worker import draws, remaining_time
from worker.attempts import Attempts, Chosen
from worker.lease import Lease
from worker.levels import ensure_levels
from worker.process import WorkerProcess
from worker.rungs import PolicyRungs, left_until
from worker.splitting import Served, serve
from worker.training_data import TrainingData
from worker.versions import LoadedVersion


class LadderExhausted(Exception):
    """No rung of the policy's ladder produced a version that may be published.

    Requests that are not in ``split`` have failed the last rung.
    """

    def __init__(self, message: str, split: SplitOut) -> None:
        super().__init__(message)
        self.split = split


def climb(
    process: WorkerProcess, claim: Claim, parent: LoadedVersion, data: TrainingData, lease: Lease
) -> Chosen:
    """Try the rungs, from the claim's first one, until the gate lets a candidate through for at least one subject.

    Raises:
        LadderExhausted: the gate let no candidate through.
        FenceLost: another worker took the run over.
        NoTimeToDraw: the exact rung was drawn in vain; the next claim draws it again.
    """
    known = [request.id for request in claim.requests if request.subject in data.subjects]
    # The earlier of the two. Beyond the worker's limit the run would start over from its first rung.
    end = min(lease.cut_off_at, _due_at(process, claim))
    levels = ensure_levels(process, claim, parent, data, lease, give_up_at=_give_up_levels_at(process, end))
    try:
        tried = Attempts(process, claim, parent, data, lease, levels)
        rungs = PolicyRungs(
            process, claim, parent, tried, lease, levels_are_known=levels is not None, end=end
        )
        outcome = serve(rungs, known, claim.first_step)
    except Interrupted:
        lease.check()
        raise
    if isinstance(outcome, Served):
        leaving = {*outcome.split.returned, *outcome.split.exhausted}
        served = [
            request.subject for request in claim.requests if request.id in known and request.id not in leaving
        ]
        chosen = outcome.candidate
        # The artefacts stored with the version cover everyone whose events stay. That includes subjects whose requests
        # leave the run.
        return replace(chosen, data=data.only(served), split=outcome.split)
    unknown = {request.id: claim.first_step for request in claim.requests if request.id not in known}
    raise LadderExhausted(
        f"none of {len(rungs)} rungs led to a version that policy {process.policy.hash[:12]} lets through"
        + _of_draws(process, claim, outcome.split.exhausted),
        SplitOut(returned={**outcome.split.returned, **unknown}),
    )


def _due_at(process: WorkerProcess, claim: Claim) -> float:
    """The earliest deadline as a reading of `time.monotonic`, by the database's clock: this machine's may be wrong."""
    with process.database.read() as session:
        left = min(request.due_at for request in claim.requests) - database_now(session)
    return time.monotonic() + left.total_seconds()


def _of_draws(process: WorkerProcess, claim: Claim, exhausted: tuple[str, ...]) -> str:
    with process.database.read() as session:
        made = draws.in_vain(
            session, process.policy.ladder[-1].method, run_id=claim.run_id, requests=exhausted
        )
    return f"; {draws.told(made)}" if made else ""


def _give_up_levels_at(process: WorkerProcess, end: float) -> float | None:
    """The reading of `time.monotonic` until which this run may make levels; None if it must not begin.

    Making levels takes at most half of the time that is left, so that the ladder has the rest. It begins only if there
    is time for a fit on half of the users, whose readings are kept, and for a re-fit after it. Both are estimated from
    the slowest re-fit on record, if there is one.
    """
    with process.database.read() as session:
        refit = attempts.slowest(session, "refit")
    left = left_until(end)
    in_time = remaining_time.suffices(left, rung=None if refit is None else refit / 2, exact=refit)
    return end - left.total_seconds() / 2 if in_time and left > timedelta() else None
