"""Compares every method with a re-fit and the controls: `lethe bench unlearn`.

A study is a matrix of cells: scenario, deletion, method. First the fits and then the cells are spread over processes.
Both are kept in a folder, so a killed study goes on where it was. Every choice was made on development users
(`benchmarks.tuning`), who are never forgotten here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from benchmarks.gate.power import power_of_everybody
from benchmarks.study import orders
from benchmarks.study.deletions import deletions
from benchmarks.study.jobs import POPULARITY, SHADOWED_SCENARIO, Job
from benchmarks.study.ladder import ladder_outcomes, rungs
from benchmarks.study.scenarios import SCENARIOS, Scenario
from benchmarks.study.session import Means, session
from benchmarks.study.summary import SHADOW_SCORES, Row, pooled_shadow_attack, regime_of, summary
from benchmarks.study.variants import Tuned, check_methods, paper_rows, rows
from benchmarks.study.workshop import Workshop
from recommender import ItemTokenStyle
from unlearning import METHODS

# The number of rows of one deletion that a process takes at a time: preparing a deletion costs about two rows.
_ROWS_PER_JOB = 6
_PAPER_SCENARIO = "interactions-25"
_DEFAULT_SCENARIOS = (SCENARIOS["users-5"],)


def run(
    data: Path,
    *,
    scenarios: Sequence[Scenario] = _DEFAULT_SCENARIOS,
    methods: Sequence[str] = tuple(METHODS),
    seeds: int = 3,
    tuned: Tuned | None = None,
    **means: Unpack[Means],
) -> dict[str, Any]:
    """Run the study; returns rows, their summary over seeds and where they were measured, as JSON values.

    Args:
        data: the interactions. `means` are those of `session`.
        scenarios: in the order of the work. Scenarios of single requests use the first seed only.
        methods: names from the registry. The controls are in every table, named or not.
        seeds: number of repetitions of batch scenarios, each with its own parent, deletion and method seed.
        tuned: the methods' configurations; None for the packaged ones.

    Raises:
        UnknownBenchmarkMethod: no method is named, or an unknown one.
    """
    check_methods(methods)
    with session(data, **means) as study:
        population = study.workshop.population
        plan = _plan(study.workshop, scenarios, methods, seeds, tuned or Tuned.load())
        study.fit(_fits(study.workshop, plan))
        study.work(plan, "cells")
        found = study.rows(*plan)
        climbed = (
            {}
            if study.workshop.regime.style == ItemTokenStyle.name
            else _climbed(study.workshop, plan, found)
        )
        return study.result(
            "unlearn",
            {
                "items": len(population.catalogue),
                "panel_users": len(population.panel),
                "service_users": len(population.service),
                "development_users": population.development,
                "outsiders": len(population.outsiders),
            },
            scenarios={scenario.name: scenario.note for scenario in scenarios},
            methods={
                setting: {
                    variant.row: variant.plain()
                    for job in plan
                    if job.scenario.setting == setting
                    for variant in job.variants
                    if variant != POPULARITY
                }
                for setting in ("batch", "single")
            },
            rows=[{name: value for name, value in row.items() if name not in SHADOW_SCORES} for row in found],
            summary=summary(found),
            shadow_attack=pooled_shadow_attack(found),
            regime=regime_of(found, study.workshop.regime.terms),
            **climbed,
        )


def _climbed(workshop: Workshop, plan: Sequence[Job], found: Sequence[Row]) -> dict[str, Any]:
    """Fields for other styles than item tokens: the style, how much of the data is used, and where the ladder ends."""
    variants = [variant for job in plan for variant in job.variants]
    style, regime = workshop.base.style, workshop.regime
    return {
        "style": style.name,
        "size": {
            "events_of_a_user": getattr(regime, "events", None),
            "options": style.event_options,
            "draws": style.draws,
        },
        "power": power_of_everybody(workshop, 0),
        "ladder": ladder_outcomes(found, rungs(workshop.policy, variants)),
    }


def _plan(
    workshop: Workshop, scenarios: Sequence[Scenario], methods: Sequence[str], seeds: int, tuned: Tuned
) -> list[Job]:
    plan = []
    light = workshop.regime.light
    for scenario in scenarios:
        single = scenario.setting == "single"
        for seed in range(1 if single else seeds):
            wanted = rows(methods, scenario.setting, tuned)
            if light:
                wanted += [one for one in rungs(workshop.policy, wanted) if one not in wanted]
            if scenario.kind == "sequence":
                plan += [Job(scenario, seed, 0, (variant,)) for variant in wanted]
                continue
            count = len(deletions(workshop.population, scenario, seed))
            for index in range(count):
                if scenario.kind == "single":
                    plan.append(Job(scenario, seed, index, tuple(wanted), light))
                    continue
                asked = [*wanted, POPULARITY]
                for start in range(0, len(asked), _ROWS_PER_JOB):
                    part = tuple(asked[start : start + _ROWS_PER_JOB])
                    plan.append(Job(scenario, seed, index, part, light))
            if scenario.name == _PAPER_SCENARIO and "ucan" in methods:
                plan.append(Job(scenario, seed, 0, tuple(paper_rows(tuned, sweep=not light)), light=True))
    return plan


def _fits(workshop: Workshop, plan: Sequence[Job]) -> list[orders.FitOrder]:
    population = workshop.population
    wanted = []
    for job in plan:
        deletion = deletions(population, job.scenario, job.seed)[job.index]
        wanted += [orders.parent(population, job.seed), *orders.references(deletion)]
        wanted += orders.level_fits(population, job.seed)
        if any(variant.name == "refit" for variant in job.variants):
            wanted.append(orders.refit(deletion))
        if job.scenario.name == SHADOWED_SCENARIO and not workshop.regime.light:
            wanted += [shadow.order for shadow in orders.shadows(population)]
    return wanted
