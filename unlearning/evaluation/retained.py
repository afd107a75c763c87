"""Evaluate a candidate on the retained users alone: a consolidation forgets nobody, so it has no subjects.

It takes two forwards over the retained users: one under the live parent, one under the candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from recommender import Adapter, Base, Split, attach
from unlearning.activations.collect import adapter_digest
from unlearning.evaluation.config import EvaluationConfig
from unlearning.evaluation.evaluate import library_versions
from unlearning.evaluation.held_out import held_out_loss
from unlearning.evaluation.inputs import sampled_indices, whole_history
from unlearning.evaluation.metrics import HELD_OUT, Measured, held_out_auc, paired_outcomes, retained_metrics
from unlearning.evaluation.reading import Divergence, read
from unlearning.evaluation.report import (
    CostRecord,
    HeldOutAuc,
    HeldOutLoss,
    Metric,
    PairedOutcome,
    Provenance,
)
from unlearning.methods.method import Candidate, Method
from unlearning.progress import Watched
from unlearning.records import canonical_json, to_plain

SCHEMA = "lethe.retained-report/1"


@dataclass(frozen=True)
class RetainedReport:
    """The evidence of what the retained users gain or lose by a candidate. It holds no user id.

    `retained` users were measured, drawn from `retained_available`; the other fields are those of
    `unlearning.evaluation.report.Report`.
    """

    method: str
    method_config: dict[str, Any]
    exact: bool
    seed: int
    evaluation: EvaluationConfig
    retained: int
    retained_available: int
    metrics: tuple[Metric, ...]
    parent_metrics: tuple[Metric, ...]
    utility: tuple[PairedOutcome, ...]
    cost: CostRecord
    provenance: Provenance
    held_out: HeldOutLoss | None = None
    auc: HeldOutAuc | None = None
    schema: str = SCHEMA

    def to_json(self) -> str:
        """Canonical JSON, for the record of attempts."""
        return canonical_json(self).decode()


def evaluate_retained(
    base: Base,
    parent: Adapter,
    candidate: Candidate,
    method: Method,
    *,
    retained: Sequence[Split],
    seed: int,
    config: EvaluationConfig | None = None,
    token_budget: int = 8192,
    **watched: Unpack[Watched],
) -> RetainedReport:
    """The report on `candidate`, made by `method`, in comparison with `parent`.

    The held-out items are the last two of each user; neither adapter may have been trained on them.

    Args:
        retained: the users' splits; `config.max_retained` of them are drawn with `seed`.

    Raises:
        AdapterMismatch: the candidate does not fit the base.
        Interrupted: `should_stop` answered yes.
    """
    config = config or EvaluationConfig()
    sample = [retained[index] for index in sampled_indices(len(retained), config.max_retained, seed)]
    before, after = (
        Measured(
            subjects=(),
            retained=read(
                attach(base, adapter),
                base.style,
                [whole_history(split) for split in sample],
                ranked=config.tail_items + HELD_OUT,
                token_budget=token_budget,
                **watched,
            ),
            neighbours=(),
            divergence=Divergence(0.0, 0.0, 0),
        )
        for adapter in (parent, candidate.adapter)
    )
    cost = candidate.cost
    return RetainedReport(
        method=method.name,
        method_config=to_plain(method.config),
        exact=method.card.exact,
        seed=seed,
        evaluation=config,
        retained=len(sample),
        retained_available=len(retained),
        metrics=retained_metrics(after),
        parent_metrics=retained_metrics(before),
        utility=paired_outcomes(before, after),
        cost=CostRecord(cost.seconds, cost.forwards, cost.backwards, cost.samples),
        provenance=Provenance(
            base_digest=base.digest,
            parent_digest=adapter_digest(parent),
            candidate_digest=adapter_digest(candidate.adapter),
            library_versions=library_versions(),
        ),
        held_out=held_out_loss(before.retained, after.retained, config, base.style.event_options)
        if len(sample) > 1
        else None,
        auc=held_out_auc(before, after),
    )
