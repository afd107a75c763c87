"""One attempt: a rung of the ladder tried on some of a run's requests, measured, judged by the gate, and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from app.db.base import utc_now
from app.runs.service import Claim
from app.runs.splitting import NOBODY, SplitOut
from recommender import Interrupted
from unlearning import (
    Candidate,
    EvaluationInputs,
    ForgetTask,
    NeverSeen,
    Report,
    RetainedReport,
    Rung,
    Trial,
    build_method,
    decide,
    evaluate,
    publishable_run,
    publishable_subjects,
    refused_by_draw,
    search_strength,
)
from unlearning.gate.search import Found
from unlearning.policy.strata import stratum_of
from worker import draws
from worker.attempt_record import record_attempt
from worker.faults import FAULTS_OF_A_METHOD
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.splitting import Judged
from worker.track_record import rung_digest
from worker.training_data import TrainingData
from worker.versions import LoadedVersion

log = structlog.get_logger()


@dataclass(frozen=True)
class Chosen:
    """The candidate to publish, its report, and the requests that leave the run because it does not serve them.

    The candidate was made for the subjects of ``data``.
    """

    candidate: Candidate
    method: str
    config: dict[str, Any]
    report: Report | RetainedReport
    data: TrainingData
    split: SplitOut = NOBODY


@dataclass(frozen=True)
class _Exact:
    """A candidate that never saw these subjects, and so can be judged for any subset of them."""

    rung_index: int
    subjects: frozenset[str]
    candidate: Candidate


class Attempts:
    """Tries rungs on parts of one claim. Every attempt is recorded before the next begins.

    The claim's epoch seeds everything random: it is unique to the claim and on record. An exact rung that is drawn
    again adds an offset to it, see `worker.draws`.
    """

    def __init__(
        self,
        process: WorkerProcess,
        claim: Claim,
        parent: LoadedVersion,
        data: TrainingData,
        lease: Lease,
        levels: Mapping[str, NeverSeen] | None,
    ) -> None:
        """Read what no attempt changes.

        Args:
            levels: each subject's level; None if the levels are not known.

        Raises:
            UnlearningError: too few users are retained to measure anything.
            Interrupted: the lease was lost meanwhile.
        """
        self._process, self._claim, self._data, self._lease = process, claim, data, lease
        self._subject_of = {request.id: request.subject for request in claim.requests}
        self._index_of = {subject: index for index, subject in enumerate(data.subjects)}
        self._levels = levels
        self._exact: _Exact | None = None
        # The claim may have drawn before a rebase; the same seeds would draw the same again.
        self._draws = draws.of_claim(process, claim)
        self._fit = parent.fit
        self._task = ForgetTask(
            base=process.base,
            adapter=parent.adapter,
            forget=data.forget,
            retain=data.retain,
            retain_validation=tuple((split.train, split.validation) for split in data.retained),
            statistics=None,
            training=parent.fit.training,
            adapter_config=parent.fit.adapter_config,
            seed=claim.covers_epoch,
        )
        self._inputs = EvaluationInputs.prepare(
            process.base,
            parent.adapter,
            subjects=data.forget,
            retained=data.retained,
            seed=claim.covers_epoch,
            never_seen=None if levels is None else [levels[subject] for subject in data.subjects],
            parent_is_exact=parent.exact,
            config=process.policy.evaluation,
            should_stop=lease.lost,
        )

    def draw_again(self, rung_index: int) -> None:
        """Make the next attempt at this exact rung use another seed."""
        self._exact = None
        self._draws[rung_index] = self._draws.get(rung_index, 0) + 1

    def can_be_decided(self, requests: tuple[str, ...]) -> bool:
        """Whether the policy lets the gate decide about at least one of these subjects' history lengths.

        The gate never lets an edit through for a subject about whom it may not decide.
        """
        lengths = (len(self._data.forget[self._index_of[self._subject_of[request]]]) for request in requests)
        return any(stratum_of(length, self._process.policy.strata).decides for length in lengths)

    def attempt(self, requests: tuple[str, ...], rung_index: int) -> Judged[Chosen]:
        """Try one rung on these requests.

        Raises:
            FenceLost: another worker took the run over; noticed on writing.
            Interrupted: the same, noticed during the computation.
        """
        policy = self._process.policy
        rung = policy.ladder[rung_index]
        started_at = utc_now()
        data = self._data.only([self._subject_of[request] for request in requests])
        try:
            made = self._make(rung, rung_index, data)
        except Interrupted:
            raise
        except FAULTS_OF_A_METHOD as error:
            # The method failed (for example, it diverged). Later rungs may still work.
            self._record_failure(requests, rung_index, started_at, error)
            return Judged(None, run_passes=False, run_fails=False, passing=())
        verdict = decide(made.report, policy)
        exact = made.method.card.exact
        run_passes = publishable_run(verdict, method_is_exact=exact, policy=policy)
        passing = publishable_subjects(verdict, method_is_exact=exact, policy=policy)
        accepted = run_passes and bool(passing)
        self._record(
            requests,
            rung_index,
            started_at,
            config=made.config,
            search=_searched(rung, made.trail),
            decision=verdict.decision,
            accepted=accepted,
            report=json.loads(made.report.to_json()),
            verdict=json.loads(verdict.to_json()),
        )
        log.info(
            "attempt.judged",
            step=rung_index,
            method=rung.method,
            subjects=len(requests),
            decision=verdict.decision,
            run_decision=verdict.run_decision,
            passing=len(passing),
            accepted=accepted,
        )
        return Judged(
            Chosen(made.candidate, rung.method, made.config, made.report, data),
            run_passes=run_passes,
            run_fails=verdict.run_decision == "fail",
            passing=tuple(requests[index] for index in passing),
            exact=exact,
            by_draw=exact and refused_by_draw(verdict, policy),
        )

    def _make(self, rung: Rung, rung_index: int, data: TrainingData) -> Found:
        policy, lost = self._process.policy, self._lease.lost
        levels = self._levels
        task = replace(
            self._task,
            forget=data.forget,
            never_seen_nll=None
            if levels is None
            else tuple(levels[subject].smoothed_nll for subject in data.subjects),
            smoothing=policy.evaluation.smoothing,
        )
        inputs = self._inputs.only([self._index_of[subject] for subject in data.subjects])
        progress = self._lease.following(rung.method)
        self._lease.note(rung.method)
        if rung.search is not None:
            field = rung.search.field
            return search_strength(
                rung,
                rung.search,
                task,
                inputs,
                policy,
                on_step=progress,
                on_trial=lambda trial: self._lease.notebook.trial(rung.method, field, trial.value, trial.z),
                should_stop=lost,
            )
        config = self._config(rung_index)
        method = build_method(rung.method, config)
        candidate = self._left_out_before(rung_index, data) if method.card.exact else None
        if candidate is None:
            candidate = method.run(task, on_step=progress, should_stop=lost)
            if method.card.exact:
                self._exact = _Exact(rung_index, frozenset(data.subjects), candidate)
        self._lease.note(f"{rung.method}: gate")
        report = evaluate(inputs, candidate, method, should_stop=lost)
        return Found(method, config, candidate, report)

    def _config(self, rung_index: int) -> dict[str, Any]:
        return draws.drawn(self._process.policy.ladder[rung_index].config, self._draws.get(rung_index, 0))

    def _left_out_before(self, rung_index: int, data: TrainingData) -> Candidate | None:
        """A candidate of this exact rung that was already made without these subjects, or None."""
        made = self._exact
        if made is None or made.rung_index != rung_index or not data.subjects.keys() <= made.subjects:
            return None
        return made.candidate

    def _record_failure(
        self, requests: tuple[str, ...], rung_index: int, started_at: datetime, error: Exception
    ) -> None:
        """Record an attempt without a candidate: refused, with the error in place of the verdict."""
        rung = self._process.policy.ladder[rung_index]
        self._record(
            requests,
            rung_index,
            started_at,
            config=self._config(rung_index),
            search=_searched(rung, ()),
            decision="fail",
            accepted=False,
            report={},
            verdict={"error": str(error)},
        )
        log.warning("attempt.failed", step=rung_index, method=rung.method, error=type(error).__name__)

    def _record(self, requests: tuple[str, ...], rung_index: int, started_at: datetime, **found: Any) -> None:
        policy = self._process.policy
        rung = policy.ladder[rung_index]
        digest = None
        if "error" not in found["verdict"]:
            known = self._levels is not None
            digest = rung_digest(policy, rung, self._process.base, self._fit, levels_are_known=known)
        record_attempt(
            self._process,
            self._claim,
            rung_index=rung_index,
            requests=requests,
            method=rung.method,
            started_at=started_at,
            rung_digest=digest,
            watermark=self._fit.watermark,
            **found,
        )


def _searched(rung: Rung, trail: tuple[Trial, ...]) -> dict[str, Any] | None:
    if rung.search is None:
        return None
    search = rung.search
    return {
        "field": search.field,
        "low": search.low,
        "high": search.high,
        "scale": search.scale,
        "trail": [{"value": trial.value, "z": trial.z} for trial in trail],
    }
