"""Reports with chosen figures, as inputs of the gate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from unlearning import ConsolidationBudget, EvaluationConfig, Policy, Report, Rung, Skipping, Verdict
from unlearning.evaluation.report import (
    CostRecord,
    Counts,
    MeanGain,
    MembershipEvidence,
    PairedOutcome,
    Provenance,
    SubjectEvidence,
)
from unlearning.gate.verdict import Reason
from unlearning.policy.strata import Stratum

POLICY = Policy(
    name="test",
    ladder=(Rung("ucan"), Rung("refit")),
    evaluation=EvaluationConfig(),
    membership_z=2.0,
    reference_error=0.0,
    memory_variation=1.0,
    min_power=2.5,
    min_reference_users=50,
    strata=(Stratum(1, True),),
    utility_margin=0.1,
    held_out_margin=0.1,
    wide_held_out_margin=0.3,
    utility_confidence=0.95,
    utility_resamples=500,
    utility_seed=0,
    neighbour_margin=0.25,
    relearning_margin=0.5,
    tail_z=3.0,
    exact_may_publish_unproven=True,
    exact_alarm_z=4.0,
    exact_draws=3,
    skipping=Skipping(),
    consolidation=ConsolidationBudget(),
)

# 400 users, a quarter of them served well by parent and candidate alike.
UNCHANGED = (PairedOutcome(0.0, 0.0, 300), PairedOutcome(1.0, 1.0, 100))


def subject(
    z: float = 0.0, *, index: int = 0, parent_z: float = 3.0, member_z: float = 3.0, items: int = 50
) -> SubjectEvidence:
    """A subject at `z` in its band, `parent_z` before the edit, where a typical member would be at `member_z`.

    A level of deviation sqrt(0.5) and a memory that varies by sqrt(0.5) leave, given the parent's gain, a deviation of
    0.5: half the surprise in the parent's gain is put down to the level.
    """
    memory = 0.5 * member_z
    surprise = 2 * (0.5 * parent_z - memory)
    expected = 2.0 + surprise / 2
    return SubjectEvidence(
        index=index,
        items=items,
        candidate=MeanGain(expected + 0.5 * z, 2.0, math.sqrt(0.5)),
        parent=MeanGain(2.0 + memory + surprise, 2.0, math.sqrt(0.5)),
        memory=memory,
        memory_scale=math.sqrt(0.5),
        share_matched=1.0,
        position_distance=0.0,
    )


def report(
    *subjects: SubjectEvidence,
    run: SubjectEvidence | None = None,
    utility: tuple[PairedOutcome, ...] = UNCHANGED,
    reference_users: int = 400,
    **changes: Any,
) -> Report:
    """A report on these subjects; the run's evidence is the first subject's unless given."""
    chosen = subjects or (subject(),)
    membership = MembershipEvidence(
        reference_users=reference_users,
        between_variance=0.1,
        within_variance=2.0,
        run=replace(run or chosen[0], index=-1),
        auc=0.5,
        auc_two_sided=0.5,
        subjects=chosen,
    )
    made = Report(
        method="ucan",
        method_config={},
        exact=False,
        seed=0,
        evaluation=POLICY.evaluation,
        counts=Counts(len(chosen), sum(one.items for one in chosen), 400, 400),
        metrics=(),
        parent_metrics=(),
        membership=membership,
        utility=utility,
        cost=CostRecord(0.1, 1, 0, 1),
        provenance=Provenance("b", "p", "c", {"torch": "2"}),
    )
    return replace(made, **changes)


def reason_of(verdict: Verdict, measure: str) -> Reason:
    return next(reason for reason in verdict.reasons if reason.measure == measure)
