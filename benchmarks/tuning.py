"""The methods' configurations, found on development users: `lethe bench tune`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.bars import Reached, bars
from benchmarks.environment import environment
from benchmarks.fits import Regime
from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.development import development_deletions
from benchmarks.study.pool import Pool
from benchmarks.study.search import TRIALS, chosen, trials
from benchmarks.study.variants import check_methods
from benchmarks.study.workshop import Workshop, one_thread
from unlearning import METHODS
from unlearning.records import to_plain

# Their shards would have to be fitted for every trial, and there is nothing to choose.
_NOT_SEARCHED = ("sharded",)


def run(
    data: Path,
    *,
    methods: Sequence[str] = tuple(METHODS),
    folder: Path | None = None,
    processes: int | None = None,
    regime: Regime | None = None,
) -> dict[str, Any]:
    """Try every configuration of every method; returns all distances and the choice, as JSON values.

    Raises:
        UnknownBenchmarkMethod: no method, or one that is not known.
    """
    check_methods(methods)
    one_thread()
    header = environment()
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workshop = Workshop(data, folder, regime or Regime())
        bar, pool = stack.enter_context(bars()), Pool(workshop, processes)
        workshop.fits.base(workshop.population, bar("base on the panel"))
        wanted = [orders.parent(workshop.population, 0), *orders.level_fits(workshop.population, 0)]
        for own in development_deletions(workshop.population).values():
            wanted += [*orders.references(own[0]), orders.refit(own[0])]
        wanted = orders.unique(wanted)
        move_fits = bar(f"{len(wanted)} fits")
        pool.fit(wanted, lambda done: move_fits(Reached(done, len(wanted))))
        tried = trials([name for name in methods if name not in _NOT_SEARCHED])
        move = bar(f"{len(tried)} trials")
        pool.work(tried, lambda done: move(Reached(done, len(tried))))
        cells = Cells(folder / "cells")
        found = [(trial, cells.get(trial.keys(workshop)[0]) or {}) for trial in tried]
    return {
        "benchmark": "tune",
        "environment": header,
        "data": {
            "source": workshop.population.source,
            "development_users": workshop.population.development,
        },
        "training": to_plain(workshop.regime),
        "trials_per_method": TRIALS,
        "chosen": chosen(found),
        "rows": [
            {
                "setting": trial.setting,
                "method": trial.variant.name,
                "config": dict(trial.variant.config),
                **cell,
            }
            for trial, cell in found
        ],
    }
