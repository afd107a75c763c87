"""The gate's own error rates on simulated deletions: `lethe bench gate`."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.bars import Reached, bars
from benchmarks.environment import environment
from benchmarks.fits import Regime
from benchmarks.gate.power import power_by_items
from benchmarks.gate.summary import summary
from benchmarks.gate.trials import Plan, later_rungs, worlds_of
from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.pool import Pool, Work
from benchmarks.study.workshop import Workshop, one_thread
from unlearning.methods.method import Stopwatch
from unlearning.records import to_plain

# What `--report` prints: made by this command on users that no threshold was chosen on.
COMMITTED = Path(__file__).parent / "report.json"
DEFAULT = Plan("report", worlds=8, deletions=25)


def run(
    data: Path,
    *,
    plan: Plan = DEFAULT,
    folder: Path | None = None,
    processes: int | None = None,
    regime: Regime | None = None,
) -> dict[str, Any]:
    """Simulate the plan's deletions; returns every row and the rates, as JSON values.

    Args:
        data: the interactions.
        plan: which users are forgotten; thresholds are chosen on `development` users, rates reported on the others.
        folder: keeps fits and finished trials for a later run on the same data; None for a temporary one.
        processes: how many work at once; None for one per core.
        regime: how models are trained.

    Raises:
        TooFewUsers: a world has fewer users of this kind than deletions are wanted; nothing has been trained then.
    """
    one_thread()
    header, watch = environment(), Stopwatch()
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workshop = Workshop(data, folder, regime or Regime())
        found = worlds_of(workshop, plan)
        bar, pool = stack.enter_context(bars()), Pool(workshop, processes)
        workshop.fits.base(workshop.population, bar("base on the panel"))
        wanted = [shadow.order for shadow in orders.shadows(workshop.population)]
        wanted += [order for world in found for order in (*world.halves, world.refit)]
        move_fits = bar(f"{len(wanted)} fits")
        pool.fit(wanted, lambda done: move_fits(Reached(done, len(wanted))))
        trials = plan.trials()
        move = bar(f"{len(trials)} deletions")
        pool.work(trials, lambda done: move(Reached(done, len(trials))))
        found_in = _Finished(Cells(folder / "cells"), workshop)
        later = later_rungs(plan, found_in.rows, workshop.policy)
        pool.work(later, lambda _: None)
        done: list[Work] = [*trials, *later]
        rows = [row for work in done for row in found_in.rows(work)]
        power = power_by_items(workshop, found)
    population = workshop.population
    return {
        "benchmark": "gate",
        "environment": header,
        "data": {
            "source": population.source,
            "users": plan.users,
            "worlds": plan.worlds,
            "users_of_a_world": [len(world.places) for world in found],
        },
        "training": to_plain(workshop.regime),
        "policy": {"name": workshop.policy.name, "hash": workshop.policy.hash},
        # A resumed measurement can hold cells of an earlier commit.
        "commits": sorted(found_in.commits),
        "wall_seconds": watch.seconds,
        **summary(rows, band=workshop.policy.membership_z),
        "power": power,
        "rows": rows,
    }


class _Finished:
    """Rows of finished cells, and the commits that made them."""

    def __init__(self, cells: Cells, workshop: Workshop) -> None:
        self._cells, self._workshop = cells, workshop
        self.commits: set[str] = set()

    def rows(self, work: Work) -> list[dict[str, Any]]:
        found = []
        for key in work.keys(self._workshop):
            cell = self._cells.get(key)
            assert cell is not None, "the pool finished without this cell"
            self.commits.add(cell["commit"] or "unknown")
            found += cell["rows"]
        return found


def committed() -> dict[str, Any]:
    """The packaged result.

    Raises:
        FileNotFoundError: this installation has none.
    """
    return dict(json.loads(COMMITTED.read_text()))
