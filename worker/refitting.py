"""One exact re-fit that is judged by what it does for the retained users alone, and kept as an attempt.

A consolidation forgets nobody in particular, and of some subjects too few events are left to measure anything by: there
the evidence is that the fit never read them.
"""

from __future__ import annotations

import json

import structlog

from app.db.base import utc_now
from app.runs.service import Claim
from app.runs.splitting import NOBODY, SplitOut
from unlearning import (
    Progress,
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
    """The gate does not let the re-fit through: it serves the retained users worse. The live version stays.

    Whoever is in ``split`` leaves the run; the others need a person.
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
    """A fit on the retained users of these examples, judged and on record; drawn again with another seed, up to the
    policy's number, while nothing speaks against it but its draw.

    The seed of everything random is the claim's epoch, as it is on the ladder.

    Args:
        rung_index: the rung of the policy's ladder that it stands for.

    Raises:
        RefitRefused: every draw serves the retained users worse than the policy's margin allows.
        NoTimeToDraw: there may be another draw, by the next claim.
        Interrupted: the lease was lost.
        FenceLost: the same, noticed later.
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
    """One draw, on record; what it leads to where it may be published."""
    policy, data, fit = process.policy, examples.data, examples.exact_fit
    config = draws.drawn({}, draw)
    method = Refit(RefitConfig(**config))
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
