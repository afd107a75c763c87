"""How much each method forgets, what it costs the others, and how long it takes: `lethe bench unlearn`.

For every seed: draw the users to forget from the report users (see `benchmarks.population`), fit the service's
adapter on everybody, let each method make a candidate, and measure it the way the gate does. The base is shared by all
seeds. Every choice was made on development users, who are never among the forgotten here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.bars import Bar, bars
from benchmarks.environment import environment
from benchmarks.fits import Fits, Regime
from benchmarks.popularity import popularity_row
from benchmarks.population import Population, load_population
from benchmarks.tasks import prepare
from recommender import Adapter, Base
from unlearning import (
    ActivationStatistics,
    Method,
    Policy,
    Report,
    build_method,
    collect_statistics,
    decide,
    default_policy,
    evaluate,
    publishable,
)
from unlearning.band import z_score
from unlearning.gate import bootstrap_bounds
from unlearning.records import to_plain

METRICS = (
    "forget_recall@10",
    "forget_nll",
    "retained_member_recall@10",
    "test_recall@10",
    "test_ndcg@10",
    "membership_auc",
    "kl",
    "prediction_shift",
    "ppl",
    "tradeoff@10",
)
REGIME_TEST_RATIO, REGIME_MEMBER_RATIO = 2.0, 1.8


class UnknownBenchmarkMethod(ValueError):
    """A method name that the benchmark does not know; the message lists those it does."""


@dataclass(frozen=True)
class Variant:
    """A row's name, and the method with its configuration behind it."""

    row: str
    method: Method


def check_methods(names: Sequence[str]) -> None:
    """Complain before anything is computed.

    Raises:
        UnknownBenchmarkMethod: no name, or one that is not known.
    """
    known = _known(default_policy())
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UnknownBenchmarkMethod(
            f"unknown methods: {', '.join(unknown) or 'none given'}; choose from {', '.join(known)}"
        )


def _known(policy: Policy) -> dict[str, Method]:
    """Methods by row name; `ucan` and `ucan_strong` are the first and last such rung of the policy's ladder."""
    ucan = [rung.config for rung in policy.ladder if rung.method == "ucan"]
    return {
        "ucan": build_method("ucan", ucan[0]),
        "ucan_strong": build_method("ucan", ucan[-1]),
        "uniform_shrink": build_method("uniform_shrink"),
        "refit": build_method("refit"),
    }


def run(
    data: Path,
    *,
    methods: Sequence[str] = ("ucan", "ucan_strong", "uniform_shrink", "refit"),
    forget: float = 0.05,
    seeds: int = 3,
    fits_folder: Path | None = None,
    regime: Regime | None = None,
) -> dict[str, Any]:
    """Run the comparison; returns rows, their summary over seeds and where they were measured, as JSON values.

    `fits_folder` keeps fitted adapters for a later run on the same data; `regime` says how models are trained.
    """
    check_methods(methods)
    policy = default_policy()
    compared = [
        Variant("original", build_method("do_nothing")),
        Variant("base", build_method("uniform_shrink", {"factor": 0.0})),
        *(Variant(name, _known(policy)[name]) for name in methods),
    ]
    population, fits, header = load_population(data), Fits(fits_folder, regime), environment()
    rows: list[dict[str, Any]] = []
    with bars() as bar:
        base = fits.base(population, bar("base on the panel"))
        for seed in range(seeds):
            rows += _rows_of(
                seed, population, population.draw(forget, seed), base, fits, compared, policy, bar
            )
    return {
        "benchmark": "unlearn",
        "environment": header,
        "data": {
            "source": population.source,
            "items": len(population.catalogue),
            "panel_users": len(population.panel),
            "service_users": len(population.service),
            "development_users": population.development,
            "forget_share": forget,
        },
        "training": to_plain(fits.regime),
        "policy": {"name": policy.name, "hash": policy.hash},
        "methods": {variant.row: to_plain(variant.method.config) for variant in compared},
        "rows": rows,
        "summary": summary(rows),
        "regime": regime_of(rows),
    }


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per method: mean, deviation (over seeds, None for one seed), lowest and highest of every figure."""
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        figures = {}
        for name, value in own[0].items():
            values = [row[name] for row in own]
            if (
                name == "seed"
                or isinstance(value, bool)
                or not all(isinstance(v, int | float) for v in values)
            ):
                continue
            figures[name] = {
                "mean": fmean(values),
                "deviation": stdev(values) if len(values) > 1 else None,
                "lowest": min(values),
                "highest": max(values),
            }
        found.append({"method": method, "seeds": len(own), "figures": figures})
    return found


def regime_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Whether forgetting means something here: the adapter helps, and it remembers whom it was fitted on."""
    test = _ratio(rows, "test_recall@10", "original", "base")
    member = _ratio(rows, "forget_recall@10", "original", "refit")
    return {
        "test_recall_original_over_base": test,
        "test_recall_required": REGIME_TEST_RATIO,
        "member_recall_original_over_refit": member,
        "member_recall_required": REGIME_MEMBER_RATIO,
        "holds": None
        if test is None or member is None
        else test >= REGIME_TEST_RATIO and member >= REGIME_MEMBER_RATIO,
    }


def _rows_of(
    seed: int,
    population: Population,
    forget: Sequence[int],
    base: Base,
    fits: Fits,
    compared: Sequence[Variant],
    policy: Policy,
    bar: Bar,
) -> list[dict[str, Any]]:
    sequences = tuple(split.train for split in population.service)
    parent: Adapter = fits.adapter(base, sequences, seed, bar(f"seed {seed}: adapter on everybody")).adapter
    statistics: ActivationStatistics = collect_statistics(base, parent, sequences)
    # The re-fit draws its own seed: the parent's would give both the same initial weights.
    task, inputs = prepare(
        population, forget, base, parent, statistics, seed=1000 + seed, policy=policy, regime=fits.regime
    )
    rows = []
    for variant in compared:
        move = bar(f"seed {seed}: {variant.row}") if variant.method.exact else None
        candidate = fits.candidate(variant.method, task, move)
        report = evaluate(inputs, candidate, variant.method)
        rows.append({"method": variant.row, "seed": seed, **_figures(report, policy)})
    rows.append({"method": "popularity", "seed": seed, **popularity_row(inputs, _none_of(METRICS))})
    return rows


def _figures(report: Report, policy: Policy) -> dict[str, Any]:
    verdict = decide(report, policy)
    decisions = [subject.decision for subject in verdict.subjects]
    samples, seconds = report.cost.samples, report.cost.seconds
    return {
        **{name: report.value(name) for name in METRICS},
        "membership_auc_two_sided": report.membership.auc_two_sided,
        "run_z": z_score(report.membership.run, policy),
        "held_out_change": bootstrap_bounds(report, policy)[1],
        "seconds": seconds,
        "samples_per_second": samples / seconds if samples and seconds else None,
        "subjects_passed": decisions.count("pass"),
        "subjects_failed": decisions.count("fail"),
        "subjects_inconclusive": decisions.count("inconclusive"),
        "run_decision": verdict.run_decision,
        "publishable": publishable(verdict, method_is_exact=report.exact, policy=policy),
    }


def _none_of(names: Sequence[str]) -> dict[str, Any]:
    return dict.fromkeys(names)


def _ratio(rows: Sequence[dict[str, Any]], metric: str, over: str, under: str) -> float | None:
    values = {
        name: [row[metric] for row in rows if row["method"] == name and row[metric] is not None]
        for name in (over, under)
    }
    if not values[over] or not values[under] or not fmean(values[under]):
        return None
    return fmean(values[over]) / fmean(values[under])
