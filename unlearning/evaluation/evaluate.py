"""Evaluate a candidate: three forwards over the subjects, one over the retained users, a few steps of an attack.

The rest is arithmetic.
"""

from __future__ import annotations

import importlib.metadata
import math
import platform
from collections.abc import Sequence
from functools import cache
from statistics import fmean

from recommender import Adapter, attach
from unlearning.activations.collect import adapter_digest
from unlearning.evaluation.collateral import neighbour_evidence
from unlearning.evaluation.durability import measure_durability
from unlearning.evaluation.evidence import ModelEvidence
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.held_out import held_out_loss
from unlearning.evaluation.inputs import EvaluationInputs
from unlearning.evaluation.metrics import HELD_OUT, Measured, held_out_auc, metrics, paired_outcomes
from unlearning.evaluation.reading import compare, read
from unlearning.evaluation.report import (
    CostRecord,
    Counts,
    DurabilityEvidence,
    MembershipEvidence,
    NeverSeenGain,
    Provenance,
    Report,
    SubjectEvidence,
)
from unlearning.evaluation.tail import TailReference
from unlearning.methods.method import Candidate, Method
from unlearning.progress import OnStep, ShouldStop
from unlearning.records import to_plain

_LIBRARIES = ("torch", "transformers", "peft", "safetensors")


def evaluate(
    inputs: EvaluationInputs,
    candidate: Candidate,
    method: Method,
    *,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> Report:
    """The report on `candidate`, made by `method`, in comparison with the inputs' base and parent.

    Raises:
        AdapterMismatch: the candidate does not fit the base.
        Interrupted: `should_stop` answered yes.
    """
    measured = measure(inputs, candidate.adapter, on_step=on_step, should_stop=should_stop)
    durability = measure_durability(inputs, candidate.adapter, should_stop=should_stop)
    return report_on(inputs, measured, durability, candidate, method)


def report_on(
    inputs: EvaluationInputs,
    measured: Measured,
    durability: DurabilityEvidence,
    candidate: Candidate,
    method: Method,
) -> Report:
    """The report on `candidate` from the results of `measure` and `measure_durability`."""
    evidence = inputs.base_readings.evidence(measured, inputs.config)
    membership = _membership(inputs, evidence)
    cost = candidate.cost
    return Report(
        method=method.name,
        method_config=to_plain(method.config),
        exact=method.card.exact,
        seed=inputs.seed,
        evaluation=inputs.config,
        counts=Counts(
            subjects=len(inputs.subjects),
            subject_items=sum(len(reading.nll) for reading in measured.subjects),
            retained=len(inputs.retained),
            retained_available=inputs.retained_available,
        ),
        metrics=metrics(measured, inputs.parent_measured, membership.auc),
        parent_metrics=metrics(inputs.parent_measured, inputs.parent_measured, inputs.parent_evidence.auc()),
        membership=membership,
        utility=paired_outcomes(inputs.parent_measured, measured),
        cost=CostRecord(cost.seconds, cost.forwards, cost.backwards, cost.samples),
        provenance=Provenance(
            base_digest=inputs.base.digest,
            parent_digest=adapter_digest(inputs.parent),
            candidate_digest=adapter_digest(candidate.adapter),
            library_versions=library_versions(),
        ),
        held_out=held_out_loss(
            inputs.parent_measured.retained, measured.retained, inputs.config, inputs.base.style.event_options
        ),
        neighbours=neighbour_evidence(
            inputs.parent_measured.neighbours,
            measured.neighbours,
            inputs.config,
            inputs.base.style.event_options,
        ),
        durability=durability,
        auc=held_out_auc(inputs.parent_measured, measured),
    )


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that determine the figures."""
    return {"python": platform.python_version(), **_versions()}


@cache
def _versions() -> dict[str, str]:
    # Each look reads a file, and an evaluation of a small model takes less time than four of them.
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def measure(
    inputs: EvaluationInputs,
    adapter: Adapter,
    *,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> Measured:
    """An adapter's readings of the subjects and the retained users, from which a report is computed.

    Raises:
        AdapterMismatch: the adapter does not fit the base.
        Interrupted: `should_stop` answered yes.
    """
    base, config = inputs.base, inputs.config
    model = attach(base, adapter)
    subjects, divergence = compare(
        inputs.parent_model,
        model,
        base.style,
        inputs.subjects,
        ranked=config.tail_items,
        counted=inputs.counted,
        token_budget=inputs.token_budget,
        should_stop=should_stop,
    )
    others = read(
        model,
        base.style,
        inputs.histories,
        ranked=config.tail_items + HELD_OUT,
        token_budget=inputs.token_budget,
        on_step=on_step,
        should_stop=should_stop,
    )
    return Measured(
        subjects=subjects,
        retained=others[: len(inputs.retained)],
        neighbours=tuple(others[index] for index in inputs.neighbours),
        divergence=divergence,
    )


def _membership(inputs: EvaluationInputs, evidence: ModelEvidence) -> MembershipEvidence:
    everyone = range(len(inputs.subjects))
    reference, auc = evidence.reference, evidence.auc()
    tails = TailReference(reference.residuals, reference.member_gains, inputs.seed)
    return MembershipEvidence(
        reference_users=reference.users,
        between_variance=reference.between,
        within_variance=reference.within,
        run=_evidence(inputs, evidence, tails, everyone, index=-1),
        auc=auc,
        auc_two_sided=max(auc, 1.0 - auc),
        subjects=tuple(_evidence(inputs, evidence, tails, [subject], index=subject) for subject in everyone),
    )


def _evidence(
    inputs: EvaluationInputs,
    evidence: ModelEvidence,
    tails: TailReference,
    chosen: Sequence[int],
    index: int,
) -> SubjectEvidence:
    covariates = [evidence.covariates[subject] for subject in chosen]
    quality = [evidence.reference.matching.quality(own) for own in covariates]
    memory = [inputs.parent_evidence.reference.memory_of(len(own)) for own in covariates]
    return SubjectEvidence(
        index=index,
        items=sum(map(len, covariates)),
        candidate=evidence.mean_gain(chosen),
        parent=inputs.parent_evidence.mean_gain(chosen),
        memory=fmean(memory),
        memory_scale=math.hypot(*memory) / len(memory),
        share_matched=fmean(match.share_matched for match in quality),
        position_distance=fmean(match.mean_distance for match in quality),
        never_seen=never_seen_gain(inputs, chosen),
        tail=tails.tail(evidence.relative_gains(chosen)),
    )


def never_seen_gain(inputs: EvaluationInputs, chosen: Sequence[int]) -> NeverSeenGain | None:
    """Mean gain on these subjects expected of a model that never saw them; None if their levels are not known."""
    if inputs.never_seen is None:
        return None
    own = [inputs.never_seen[subject] for subject in chosen]
    base = fmean(
        float(
            smoothed(
                inputs.base_readings.subject_readings[subject].nll,
                inputs.config.smoothing,
                inputs.base.style.event_options,
            ).mean()
        )
        for subject in chosen
    )
    return NeverSeenGain(
        expected=base - fmean(level.smoothed_nll for level in own),
        deviation=math.hypot(*(level.deviation for level in own)) / len(own),
        seen=base - fmean(level.seen_smoothed_nll for level in own),
    )
