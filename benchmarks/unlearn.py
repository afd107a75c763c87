"""Every method beside a re-fit and the controls: `lethe bench unlearn`.

A study is a matrix of cells: scenario, deletion, method. Fits come first, then cells, both spread over processes and
kept in a folder, so that a killed study goes on where it was. Every choice was made on development users
(`benchmarks.tuning`), who are never among the forgotten here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.bars import Bar, Reached, bars
from benchmarks.environment import environment
from benchmarks.fits import Regime
from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.deletions import deletions
from benchmarks.study.jobs import POPULARITY, SHADOWED_SCENARIO, Job
from benchmarks.study.pool import Pool
from benchmarks.study.scenarios import SCENARIOS, Scenario
from benchmarks.study.summary import SHADOW_SCORES, pooled_shadow_attack, regime_of, summary
from benchmarks.study.variants import Tuned, check_methods, paper_rows, rows
from benchmarks.study.workshop import Workshop, one_thread
from unlearning import METHODS
from unlearning.methods.method import Stopwatch
from unlearning.records import to_plain

# Rows of one deletion that one process takes at a time: preparing a deletion costs about as much as two rows.
_ROWS_PER_JOB = 6
_PAPER_SCENARIO = "interactions-25"
_DEFAULT_SCENARIOS = (SCENARIOS["users-5"],)


def run(
    data: Path,
    *,
    scenarios: Sequence[Scenario] = _DEFAULT_SCENARIOS,
    methods: Sequence[str] = tuple(METHODS),
    seeds: int = 3,
    folder: Path | None = None,
    processes: int | None = None,
    regime: Regime | None = None,
    tuned: Tuned | None = None,
) -> dict[str, Any]:
    """Run the study; returns rows, their summary over seeds and where they were measured, as JSON values.

    Args:
        data: the interactions.
        scenarios: in the order they are worked on. Those of single requests use the first seed only.
        methods: names of the registry; the controls stand in every table whether named or not.
        seeds: of the parent's fit, of what is forgotten and of the methods, in batch scenarios.
        folder: keeps fits and cells for a later run on the same data; None for a temporary one.
        processes: how many work at once; None for one per core.
        regime: how models are trained.
        tuned: the methods' configurations; None for the packaged ones.

    Raises:
        UnknownBenchmarkMethod: no method, or one that is not known.
    """
    check_methods(methods)
    one_thread()
    header, watch = environment(), Stopwatch()
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workshop = Workshop(data, folder, regime or Regime())
        plan = _plan(workshop, scenarios, methods, seeds, tuned or Tuned.load())
        bar = stack.enter_context(bars())
        _work(workshop, plan, Pool(workshop, processes), bar)
        cells = _cells(workshop, plan)
        found = [row for cell in cells for row in cell["rows"]]
    population = workshop.population
    return {
        "benchmark": "unlearn",
        "environment": header,
        "data": {
            "source": population.source,
            "items": len(population.catalogue),
            "panel_users": len(population.panel),
            "service_users": len(population.service),
            "development_users": population.development,
            "outsiders": len(population.outsiders),
        },
        "training": to_plain(workshop.regime),
        "policy": {"name": workshop.policy.name, "hash": workshop.policy.hash},
        # A resumed study can hold cells of earlier code; whoever reads it should know.
        "commits": sorted({cell["commit"] or "unknown" for cell in cells}),
        "scenarios": {scenario.name: scenario.note for scenario in scenarios},
        "methods": {
            setting: {
                variant.row: variant.plain()
                for job in plan
                if job.scenario.setting == setting
                for variant in job.variants
                if variant != POPULARITY
            }
            for setting in ("batch", "single")
        },
        # Of this run alone: fits and cells of an earlier one were there already.
        "wall_seconds": watch.seconds,
        "rows": [{name: value for name, value in row.items() if name not in SHADOW_SCORES} for row in found],
        "summary": summary(found),
        "shadow_attack": pooled_shadow_attack(found),
        "regime": regime_of(found),
    }


def _plan(
    workshop: Workshop, scenarios: Sequence[Scenario], methods: Sequence[str], seeds: int, tuned: Tuned
) -> list[Job]:
    plan = []
    for scenario in scenarios:
        single = scenario.setting == "single"
        for seed in range(1 if single else seeds):
            wanted = rows(methods, scenario.setting, tuned)
            if scenario.kind == "sequence":
                plan += [Job(scenario, seed, 0, (variant,)) for variant in wanted]
                continue
            count = len(deletions(workshop.population, scenario, seed))
            for index in range(count):
                if scenario.kind == "single":
                    plan.append(Job(scenario, seed, index, tuple(wanted)))
                    continue
                asked = [*wanted, POPULARITY]
                for start in range(0, len(asked), _ROWS_PER_JOB):
                    plan.append(Job(scenario, seed, index, tuple(asked[start : start + _ROWS_PER_JOB])))
            if scenario.name == _PAPER_SCENARIO and "ucan" in methods:
                plan.append(Job(scenario, seed, 0, tuple(paper_rows(tuned)), light=True))
    return plan


def _work(workshop: Workshop, plan: Sequence[Job], pool: Pool, bar: Bar) -> None:
    workshop.fits.base(workshop.population, bar("base on the panel"))
    wanted = _fits(workshop, plan)
    pool.fit(wanted, _counted(bar(f"{len(wanted)} fits"), len(wanted)))
    total = sum(len(job.keys(workshop)) for job in plan)
    pool.work(plan, _counted(bar(f"{total} cells"), total))


def _fits(workshop: Workshop, plan: Sequence[Job]) -> list[orders.FitOrder]:
    population = workshop.population
    wanted = []
    for job in plan:
        deletion = deletions(population, job.scenario, job.seed)[job.index]
        wanted += [orders.parent(population, job.seed), *orders.references(deletion)]
        wanted += orders.level_fits(population, job.seed)
        if any(variant.name == "refit" for variant in job.variants):
            wanted.append(orders.refit(deletion))
        if job.scenario.name == SHADOWED_SCENARIO:
            wanted += [shadow.order for shadow in orders.shadows(population)]
    return orders.unique(wanted)


def _cells(workshop: Workshop, plan: Sequence[Job]) -> list[dict[str, Any]]:
    cells = Cells(workshop.folder / "cells")
    found = []
    for job in plan:
        for key in job.keys(workshop):
            cell = cells.get(key)
            assert cell is not None, "the pool finished without this cell"
            found.append(cell)
    return found


def _counted(move: Callable[[Reached], None], total: int) -> Callable[[int], None]:
    return lambda done: move(Reached(done, total))
