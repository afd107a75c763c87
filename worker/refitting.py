"""One exact re-fit that is judged only by how it serves the retained users, and recorded as an attempt.

A consolidation has no subjects, and some subjects have too few events left to measure. In both cases the evidence is
that the fit never read the people who are forgotten.
"""

from __future__ import annotations

import json

import structlog

from app.db.base import utc_now
from app.runs.service import Claim
from app.runs.splitting import NOBODY, SplitOut
from unlearning import (
    Refit,
    Verdict,
    decide_retained,
    evaluate_retained,
    publishable,
    refused_by_draw,
)
from unlearning.methods.ladder.refit import RefitConfig
from worker import draws
from worker.attempt_record import record_attempt
from worker.attempts import Chosen
from worker.examples import Examples
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.versions import LoadedVersion

log = structlog.get_logger()


class RefitRefused(Exception):
    """The gate refused the re-fit because it serves the retained users worse. The live version stays.

    Requests in ``split`` leave the run; the others need a person.
    """

    split: SplitOut = NOBODY


def refit_without(
    process: WorkerProcess,
    claim: Claim,
    parent: LoadedVersion,
    examples: Examples,
    lease: Lease,
    *,
    rung_index: int = 0,
) -> Chosen:
    """Fit on the retained users of these examples, have the gate judge the fit, and record it.

    A fit that is refused only because of its draw is drawn again with another seed, as often as the policy allows. The
    claim's epoch seeds everything random, as on the ladder.

    Args:
        rung_index: the rung of the policy's ladder that the re-fit stands for.

    Raises:
        RefitRefused: every draw serves the retained users worse than the policy's margin allows.
        NoTimeToDraw: another draw is allowed; the next claim makes it.
        Interrupted: the lease was lost.
        FenceLost: the same, noticed on writing.
    """
    draw = draws.of_claim(process, claim).get(rung_index, 0)
    requests = [request.id for request in claim.requests]
    while True:
        chosen, verdict = _draw(process, claim, parent, examples, lease, rung_index=rung_index, draw=draw)
        if chosen is not None:
            return chosen
        refused = next(one.detail for one in verdict.reasons if one.decision == verdict.decision)
        if not refused_by_draw(verdict, process.policy):
            raise RefitRefused(refused)
        with process.database.read() as session:
            made = draws.in_vain(session, Refit.name, run_id=claim.run_id, requests=requests)
            if made >= process.policy.exact_draws:
                raise RefitRefused(f"{draws.told(made)}; the last: {refused}")
            draws.require_time(session, lease, Refit.name, rung_index=None)
        log.warning("attempt.drawn_again", step=rung_index, method=Refit.name, draws=made)
        draw += 1


def _draw(
    process: WorkerProcess,
    claim: Claim,
    parent: LoadedVersion,
    examples: Examples,
    lease: Lease,
    *,
    rung_index: int,
    draw: int,
) -> tuple[Chosen | None, Verdict]:
    """Make, judge and record one draw; the candidate if it may be published, and the verdict."""
    policy, data, fit = process.policy, examples.data, examples.exact_fit
    config = draws.drawn({}, draw)
    method = Refit(RefitConfig(**config))
    started_at = utc_now()
    lease.note(method.name)
    candidate = method.fit(
        process.base,
        data.retain,
        fit.adapter_config,
        fit.training,
        seed=claim.covers_epoch,
        validation=tuple((split.train, split.validation) for split in data.retained),
        on_step=lease.following(method.name),
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
    accepted = publishable(verdict, method_is_exact=method.card.exact, policy=policy)
    record_attempt(
        process,
        claim,
        rung_index=rung_index,
        requests=[request.id for request in claim.requests],
        method=method.name,
        config=config,
        started_at=started_at,
        decision=verdict.decision,
        accepted=accepted,
        report=json.loads(report.to_json()),
        verdict=json.loads(verdict.to_json()),
    )
    log.info(
        "attempt.judged", step=rung_index, method=method.name, decision=verdict.decision, accepted=accepted
    )
    return Chosen(candidate, method.name, config, report, data) if accepted else None, verdict
