"""The band without levels, and U-CAN's configurations: `lethe bench gate --calibrate`, on development users only.

Groups of development users are forgotten one after the other. For each group the adapter is re-fitted without it, so
each of its users has a model that truly never saw them. The benchmark measures:

* membership: how often a true never-member falls outside a band |z| <= limit, which must be rare, and how often a
  member does, which must be frequent;
* the reference error: the difference between the mean gain of true never-members and the gain that matched held-out
  items predict;
* U-CAN: how near each configuration comes to the re-fit, and what it costs the retained users.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, Unpack

from benchmarks.population import Population
from benchmarks.study import orders
from benchmarks.study.deletions import whole_users
from benchmarks.study.session import Means, session
from unlearning import (
    EvaluationInputs,
    Method,
    Policy,
    Report,
    build_method,
    collect_statistics,
    decide,
    evaluate,
)
from unlearning.evaluation.report import SubjectEvidence
from unlearning.gate.band import power, z_score
from unlearning.gate.utility import bootstrap_bounds

LIMITS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
GROUPS, SEED = 4, 0

Variant = tuple[str, dict[str, Any]]
_ALWAYS: tuple[Variant, ...] = (("do_nothing", {}), ("refit", {}))


def sweep() -> list[Variant]:
    """The configurations that are compared: strengths and shapes of U-CAN, and the uniform shrink."""
    strengths = [{"threshold": t, "gamma": g} for t, g in product((0.5, 0.7, 0.8, 0.9), (3.0, 6.0))]
    shapes: list[dict[str, Any]] = [
        {"fusion": "protective"},
        {"fusion": "product"},
        {"fusion_lambda": 0.8},
        {"gap": "z_score"},
        {"gap": "difference", "normalisation": "global_rank"},
        {"normalisation": "module_min_max"},
        {"normalisation": "global_rank"},
        {"utility": "convex"},
        {"utility": "wanda"},
        {"prescreen": 0.5},
        {"decay": "sigmoid"},
        {"unit": "output_row"},
        {"unit": "input_column"},
        {"hard_prune": True},
        {"use_contrast": False},
        {"use_utility": False},
    ]
    factors = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
    return [
        *(("ucan", {"basis": "rank"} | strength) for strength in strengths),
        *(("ucan", shape | {"basis": "rank", "threshold": 0.5, "gamma": 3.0}) for shape in shapes),
        *(("uniform_shrink", {"factor": factor}) for factor in factors),
    ]


def run(
    data: Path,
    *,
    share: float = 0.05,
    with_sweep: bool = True,
    **means: Unpack[Means],
) -> dict[str, Any]:
    """Calibrate on the development users of `data`; returns the figures as plain JSON values.

    Args:
        data: the interactions. `means` are those of `session`.
        share: the size of a group, as a share of the service's users.
        with_sweep: whether to compare configurations of U-CAN too.
    """
    methods = [build_method(name, config) for name, config in (*_ALWAYS, *(sweep() if with_sweep else ()))]
    reports: dict[str, list[Report]] = {}
    with session(data, **means) as study:
        workshop, population, policy = study.workshop, study.workshop.population, study.workshop.policy
        chosen = [
            whole_users(population, f"group {number}", SEED + number, group)
            for number, group in enumerate(groups(population, share), start=1)
        ]
        everybody = orders.parent(population, SEED)
        refits = [
            orders.FitOrder(f"re-fit of {one.name}", one.retained_sequences, one.seed) for one in chosen
        ]
        study.fit([everybody, *refits])
        parent = workshop.fit(everybody).adapter
        statistics = collect_statistics(
            workshop.base,
            parent,
            everybody.sequences,
            sites=("bottleneck", "input", "output"),
            on_step=study.bar("activation sums"),
        )
        for deletion in chosen:
            task = workshop.regime.task(
                workshop.base,
                parent,
                deletion.subjects,
                deletion.retained_sequences,
                seed=deletion.seed,
                statistics=statistics,
            )
            inputs = EvaluationInputs.prepare(
                workshop.base,
                parent,
                subjects=task.forget,
                retained=deletion.retained,
                seed=deletion.seed,
                config=policy.evaluation,
            )
            done_of = study.counted(f"candidates of {deletion.name}", len(methods))
            for done, method in enumerate(methods, start=1):
                candidate = workshop.fits.candidate(method, task)
                reports.setdefault(label(method), []).append(evaluate(inputs, candidate, method))
                done_of(done)
        return study.result(
            "calibrate",
            {"development_users": population.development, "share": share},
            membership=_membership(reports["refit"], reports["do_nothing"], policy),
            rows=[_row(name, found, reports["refit"], policy) for name, found in reports.items()],
        )


def groups(population: Population, share: float) -> list[tuple[int, ...]]:
    """The development groups. Each is as large as a reported forget set if there are enough users."""
    size = min(round(share * len(population.service)), population.development // GROUPS)
    return population.development_groups(GROUPS, size)


def label(method: Method) -> str:
    """The method's name and the options that differ from its defaults."""
    defaults = vars(build_method(method.name).config)
    changed = {name: value for name, value in vars(method.config).items() if value != defaults[name]}
    return (
        f"{method.name}({', '.join(f'{name}={value}' for name, value in changed.items())})"
        if changed
        else method.name
    )


def _membership(refits: Sequence[Report], parents: Sequence[Report], policy: Policy) -> dict[str, Any]:
    """False alarms and power of the band, from models that truly never saw the users."""
    out = [subject for report in refits for subject in report.membership.subjects]
    members = [subject for report in parents for subject in report.membership.subjects]
    judged = [place for place, subject in enumerate(members) if power(subject, policy) >= policy.min_power]
    z_out = [z_score(subject, policy) for subject in out]
    z_in = [z_score(subject, policy) for subject in members]
    errors = [subject.candidate.gain - subject.candidate.expected for subject in out]
    forgotten = [_lost(subject) / subject.memory for subject in out if subject.memory > 0]
    return {
        "users": len(out),
        "users_with_power": len(judged),
        "never_member_z": _moments(z_out),
        "never_member_z_with_power": _moments([z_out[place] for place in judged]),
        "member_z": _moments(z_in),
        "member_z_with_power": _moments([z_in[place] for place in judged]),
        "reference_error_of_groups": [
            report.membership.run.candidate.gain - report.membership.run.candidate.expected
            for report in refits
        ],
        "never_member_error": _moments(errors),
        # Its deviation is the policy's memory_variation, as long as the normal model holds.
        "lost_gain_over_memory": _moments(forgotten),
        "run_z_of_never_members": [z_score(report.membership.run, policy) for report in refits],
        "run_z_of_members": [z_score(report.membership.run, policy) for report in parents],
        "bands": [
            {
                "limit": limit,
                "never_members_rejected": _share(z_out, limit),
                "never_members_with_power_rejected": _share([z_out[place] for place in judged], limit),
                "members_rejected": _share(z_in, limit),
                "members_with_power_rejected": _share([z_in[place] for place in judged], limit),
            }
            for limit in LIMITS
        ],
    }


def _row(name: str, found: Sequence[Report], refits: Sequence[Report], policy: Policy) -> dict[str, Any]:
    verdicts = [decide(report, policy) for report in found]
    decisions = [subject.decision for verdict in verdicts for subject in verdict.subjects]
    nll_gap = [_value(r, "forget_nll") - _value(x, "forget_nll") for r, x in zip(found, refits, strict=True)]
    return {
        "method": name,
        "forget_nll_minus_refit": fmean(nll_gap),
        **{
            metric: fmean(_value(report, metric) for report in found)
            for metric in (
                "forget_recall@10",
                "retained_member_recall@10",
                "test_recall@10",
                "validation_ndcg@10",
            )
        },
        "held_out_change": fmean(bootstrap_bounds(report, policy)[1] for report in found),
        "run_z": fmean(z_score(report.membership.run, policy) for report in found),
        **{word: decisions.count(word) for word in ("pass", "fail", "inconclusive")},
        "seconds": fmean(report.cost.seconds for report in found),
    }


def _lost(subject: SubjectEvidence) -> float:
    """How much of the subject's gain the re-fit lost, beyond the change that matched held-out items predict."""
    before, after = subject.parent, subject.candidate
    return (before.gain - before.expected) - (after.gain - after.expected)


def _value(report: Report, metric: str) -> float:
    value = report.value(metric)
    return math.nan if value is None else value


def _share(values: Sequence[float], limit: float) -> float | None:
    return sum(abs(value) > limit for value in values) / len(values) if values else None


def _moments(values: Sequence[float]) -> Mapping[str, float | None]:
    if not values:
        return {"mean": None, "deviation": None, "lowest": None, "highest": None}
    mean = fmean(values)
    deviation = math.sqrt(fmean((value - mean) ** 2 for value in values))
    return {"mean": mean, "deviation": deviation, "lowest": min(values), "highest": max(values)}
