"""The ladder: methods in the policy's order, each judged by the gate, until somebody may be served.

Who is served and who leaves the run is the rule of `worker.splitting`; here it meets models, clock and database.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import structlog

from app.db import attempts, runs
from app.db.clock import database_now
from app.db.runs import Claim
from app.db.splitting import SplitOut
from recommender import Interrupted
from unlearning import build_method
from unlearning.cross_fitting import PAIRS
from worker import slack
from worker.attempts import Attempts, Chosen
from worker.lease import Lease
from worker.levels import ensure_levels
from worker.process import WorkerProcess
from worker.splitting import Judged, Served, serve
from worker.training_data import TrainingData
from worker.versions import LoadedVersion

log = structlog.get_logger()


class LadderExhausted(Exception):
    """No rung of the policy's ladder produced a version that may be published.

    Whoever is not in ``split`` has failed the last rung.
    """

    def __init__(self, message: str, split: SplitOut) -> None:
        super().__init__(message)
        self.split = split


def climb(
    process: WorkerProcess, claim: Claim, parent: LoadedVersion, data: TrainingData, lease: Lease
) -> Chosen:
    """Try the rungs from the claim's first on until the gate lets a candidate through for at least one subject.

    Raises:
        LadderExhausted: it let none through.
        FenceLost: the run was taken over meanwhile.
    """
    known = [request.id for request in claim.requests if request.subject in data.subjects]
    # Whatever comes first: past the worker's limit the run would start over, from its first rung.
    end = min(lease.cut_off_at, _due_at(process, claim))
    levels = ensure_levels(
        process, claim, parent, data.subjects, lease, give_up_at=_give_up_levels_at(process, end)
    )
    try:
        rungs = _PolicyRungs(process, claim, Attempts(process, claim, parent, data, lease, levels), end)
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
        # What is cached with the version covers everyone whose events stay, and so whoever leaves.
        return replace(chosen, data=data.only(served), split=outcome.split)
    unknown = {request.id: claim.first_step for request in claim.requests if request.id not in known}
    raise LadderExhausted(
        f"none of {len(rungs)} rungs led to a version that policy {process.policy.hash[:12]} lets through",
        SplitOut(returned={**outcome.split.returned, **unknown}),
    )


def _due_at(process: WorkerProcess, claim: Claim) -> float:
    """The earliest deadline, as a reading of `time.monotonic`: this machine's clock may be wrong."""
    with process.database.read() as session:
        left = min(request.due_at for request in claim.requests) - database_now(session)
    return time.monotonic() + left.total_seconds()


def _left(end: float) -> timedelta:
    return timedelta(seconds=end - time.monotonic())


def _give_up_levels_at(process: WorkerProcess, end: float) -> float | None:
    """How long this run may spend on levels that nobody has made yet; None where it must not begin.

    They are stored when the last of them is there: a run that is cut off each time would never get any further. So not
    without the time for them and for a re-fit, as far as one is on record; and not beyond half of the time: where they
    are finished by then, a re-fit, half as long as they are, has its time twice over.
    """
    with process.database.read() as session:
        refit = attempts.slowest(session, "refit")
    left = _left(end)
    in_time = slack.in_time(left, rung=None if refit is None else PAIRS * refit, exact=refit)
    return end - left.total_seconds() / 2 if in_time and left > timedelta() else None


class _PolicyRungs:
    """The policy's ladder on one claim, with an eye on the clock."""

    def __init__(self, process: WorkerProcess, claim: Claim, tried: Attempts, end: float) -> None:
        self._process, self._claim, self._tried, self._end = process, claim, tried, end
        self._ladder = process.policy.ladder

    def __len__(self) -> int:
        return len(self._ladder)

    def attempt(self, requests: tuple[str, ...], step: int) -> Judged[Chosen]:
        return self._tried.attempt(requests, step)

    def in_time(self, step: int) -> bool:
        exact = self._exact_from(step)
        if exact is None or exact == step:
            return True
        with self._process.database.read() as session:
            durations = [attempts.slowest(session, self._ladder[place].method) for place in (step, exact)]
        return slack.in_time(_left(self._end), rung=durations[0], exact=durations[1])

    def settle_on(self, step: int) -> int:
        if self.in_time(step):
            return step
        exact = self._exact_from(step)
        assert exact is not None  # or there would be time
        log.warning("ladder.rungs_skipped", first=step, up_to=exact)
        with self._process.database.unit_of_work() as session:
            runs.record_skipped_rungs(session, self._process.audit, self._claim, first=step, up_to=exact)
        return exact

    def _exact_from(self, step: int) -> int | None:
        """The first exact rung from this one on."""
        return next(
            (
                place
                for place in range(step, len(self._ladder))
                if build_method(self._ladder[place].method, self._ladder[place].config).exact
            ),
            None,
        )
