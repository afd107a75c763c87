"""The ladder: methods in the policy's order, each judged by the gate, until one may be published."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from app.db import runs
from app.db.base import utc_now
from app.db.models import Attempt
from app.db.runs import Claim
from recommender import Interrupted, RecommenderError
from unlearning import (
    Candidate,
    EvaluationInputs,
    ForgetTask,
    Policy,
    Progress,
    Report,
    RetainedReport,
    UnlearningError,
    build_method,
    decide,
    evaluate,
    publishable,
)
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.training_data import TrainingData
from worker.versions import LoadedVersion

log = structlog.get_logger()


class LadderExhausted(Exception):
    """No step of the policy's ladder produced a version that may be published."""


@dataclass(frozen=True)
class Chosen:
    """The candidate to publish, and what was measured about it."""

    candidate: Candidate
    method: str
    config: dict[str, Any]
    report: Report | RetainedReport
    data: TrainingData


def climb(
    process: WorkerProcess, claim: Claim, parent: LoadedVersion, data: TrainingData, lease: Lease
) -> Chosen:
    """Try each step until the gate lets one through. Every attempt is recorded before the next begins.

    The seed of everything random is the claim's epoch: unique per claim and on record.

    Raises:
        LadderExhausted: none was let through.
        FenceLost: the run was taken over meanwhile.
    """
    policy = process.policy
    task = ForgetTask(
        base=process.base,
        adapter=parent.adapter,
        forget=data.forget,
        retain=data.retain,
        retain_validation=tuple((split.train, split.validation) for split in data.retained),
        statistics=parent.statistics,
        training=parent.fit.training,
        adapter_config=parent.fit.adapter_config,
        seed=claim.covers_epoch,
    )
    try:
        inputs = EvaluationInputs.prepare(
            process.base,
            parent.adapter,
            subjects=data.forget,
            retained=data.retained,
            seed=claim.covers_epoch,
            config=policy.evaluation,
            should_stop=lease.lost,
        )
        for step in range(len(policy.ladder)):
            chosen = _attempt(process, claim, task, inputs, data, step, lease)
            if chosen is not None:
                return chosen
    except Interrupted:
        lease.check()
        raise
    raise LadderExhausted(
        f"none of {len(policy.ladder)} steps led to a version that policy {policy.hash[:12]} lets through"
    )


def _attempt(
    process: WorkerProcess,
    claim: Claim,
    task: ForgetTask,
    inputs: EvaluationInputs,
    data: TrainingData,
    step: int,
    lease: Lease,
) -> Chosen | None:
    policy: Policy = process.policy
    rung = policy.ladder[step]
    method = build_method(rung.method, dict(rung.config))
    started_at = utc_now()

    def progress(report: Progress) -> None:
        lease.note(f"{rung.method}: {report.stage} {report.step}/{report.steps}")

    lease.note(rung.method)
    try:
        candidate = method.run(task, on_step=progress, should_stop=lease.lost)
        lease.note(f"{rung.method}: gate")
        report = evaluate(inputs, candidate, method, should_stop=lease.lost)
    except Interrupted:
        raise
    except (UnlearningError, RecommenderError) as error:
        # A walk that diverged, or a method that has nothing to work on, says nothing about the rungs behind it.
        _record_failure(process, claim, step, started_at, error)
        return None
    verdict = decide(report, policy)
    accepted = publishable(verdict, method_is_exact=method.exact, policy=policy)
    plain_report: dict[str, Any] = json.loads(report.to_json())
    attempt = Attempt(
        run_id=claim.run_id,
        fence=claim.fence,
        step=step,
        method=rung.method,
        config=dict(rung.config),
        policy_hash=policy.hash,
        started_at=started_at,
        finished_at=utc_now(),
        decision=verdict.decision,
        accepted=accepted,
        report=plain_report,
        verdict=json.loads(verdict.to_json()),
    )
    _record(process, claim, attempt)
    log.info("attempt.judged", step=step, method=rung.method, decision=verdict.decision, accepted=accepted)
    if not accepted:
        return None
    return Chosen(candidate, rung.method, dict(rung.config), report, data)


def _record_failure(
    process: WorkerProcess, claim: Claim, step: int, started_at: datetime, error: Exception
) -> None:
    """An attempt without a candidate: refused, with the reason where the verdict would stand."""
    rung = process.policy.ladder[step]
    attempt = Attempt(
        run_id=claim.run_id,
        fence=claim.fence,
        step=step,
        method=rung.method,
        config=dict(rung.config),
        policy_hash=process.policy.hash,
        started_at=started_at,
        finished_at=utc_now(),
        decision="fail",
        accepted=False,
        report={},
        verdict={"error": str(error)},
    )
    _record(process, claim, attempt)
    log.warning("attempt.failed", step=step, method=rung.method, error=type(error).__name__)


def _record(process: WorkerProcess, claim: Claim, attempt: Attempt) -> None:
    with process.database.unit_of_work() as session:
        runs.record_attempt(session, process.audit, claim, attempt)
