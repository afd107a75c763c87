"""A consolidation: the exact re-fit that replaces accumulated attenuation, published like any other version."""

from __future__ import annotations

import json

import structlog

from app.db import runs
from app.db.base import utc_now
from app.db.models import Attempt, RunStage
from app.db.runs import Claim
from recommender import Interrupted
from unlearning import Progress, Refit, decide_retained, evaluate_retained, publishable
from worker.attempts import Chosen
from worker.completion import complete
from worker.examples import Examples, read_examples
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.publication import publish_candidate, wait_for_acknowledgement
from worker.versions import LoadedVersion, load_version

log = structlog.get_logger()


class ConsolidationRefused(Exception):
    """The gate does not let the re-fit through. The live version stays."""


def consolidate(process: WorkerProcess, claim: Claim, lease: Lease) -> None:
    """Re-fit on everyone who is not suppressed, publish, and destroy everything older.

    Raises:
        ConsolidationRefused: it serves the retained users worse than the policy's margin allows.
        FenceLost: another worker holds the run now.
        PointerMoved: another version became live meanwhile; start again from that one.
    """
    if claim.stage == RunStage.LADDER:
        claim = _fit_and_publish(process, claim, lease)
    wait_for_acknowledgement(process, claim, lease)
    complete(process, claim, frozenset())


def _fit_and_publish(process: WorkerProcess, claim: Claim, lease: Lease) -> Claim:
    assert claim.parent_digest is not None  # a request is refused where nothing is live
    parent = load_version(process.store, claim.parent_digest)
    examples = read_examples(process, claim, parent.fit, subjects=(), newest=True)
    try:
        chosen = _refit(process, claim, parent, examples, lease)
    except Interrupted:
        lease.check()
        raise
    return publish_candidate(process, claim, parent, chosen, examples.exact_fit, lease)


def _refit(
    process: WorkerProcess, claim: Claim, parent: LoadedVersion, examples: Examples, lease: Lease
) -> Chosen:
    """The candidate, judged and on record.

    The seed of everything random is the claim's epoch, as it is on the ladder.
    """
    policy, method, data, fit = process.policy, Refit(), examples.data, examples.exact_fit
    started_at = utc_now()

    def progress(report: Progress) -> None:
        lease.note(f"{method.name}: {report.stage} {report.step}/{report.steps}")

    lease.note(method.name)
    candidate = method.fit(
        process.base,
        data.retain,
        fit.adapter_config,
        fit.training,
        seed=claim.covers_epoch,
        validation=tuple((split.train, split.validation) for split in data.retained),
        on_step=progress,
        should_stop=lease.lost,
    )
    lease.note(f"{method.name}: gate")
    report = evaluate_retained(
        process.base,
        parent.adapter,
        candidate,
        method,
        retained=data.retained,
        seed=claim.covers_epoch,
        config=policy.evaluation,
        should_stop=lease.lost,
    )
    verdict = decide_retained(report, policy)
    accepted = publishable(verdict, method_is_exact=method.exact, policy=policy)
    attempt = Attempt(
        run_id=claim.run_id,
        fence=claim.fence,
        step=0,
        method=method.name,
        config={},
        policy_hash=policy.hash,
        started_at=started_at,
        finished_at=utc_now(),
        decision=verdict.decision,
        accepted=accepted,
        report=json.loads(report.to_json()),
        verdict=json.loads(verdict.to_json()),
    )
    with process.database.unit_of_work() as session:
        runs.record_attempt(session, process.audit, claim, attempt)
    log.info("attempt.judged", step=0, method=method.name, decision=verdict.decision, accepted=accepted)
    if not accepted:
        raise ConsolidationRefused(
            next(one.detail for one in verdict.reasons if one.decision == verdict.decision)
        )
    return Chosen(candidate, method.name, {}, report, data)
