"""Two hundred requests in a row: `lethe bench sequence`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.bars import Reached, bars
from benchmarks.environment import environment
from benchmarks.fits import Regime
from benchmarks.sequence.measures import order, places_in_band, refit_without, sides, utility
from benchmarks.sequence.walk import Walk, title
from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.levels import levels
from benchmarks.study.pool import Pool
from benchmarks.study.workshop import Workshop, one_thread
from unlearning.methods.method import Stopwatch
from unlearning.records import to_plain

# A method with consolidations, and what happens without them; the others are controls.
WALKS = {
    title(name, consolidates): (name, consolidates)
    for name, consolidates in (
        ("least_change_output", True),
        ("least_change", True),
        ("least_change_output", False),
        ("least_change", False),
        ("ucan", False),
        ("do_nothing", False),
    )
}


def run(
    data: Path,
    *,
    walks: Sequence[str] = tuple(WALKS),
    requests: int = 200,
    seed: int = 0,
    folder: Path | None = None,
    processes: int | None = None,
    regime: Regime | None = None,
) -> dict[str, Any]:
    """Live through `requests` single requests in several ways; returns rows as JSON values.

    Args:
        data: the interactions.
        walks: which of `WALKS`.
        requests: report users who ask, one after the other.
        seed: of the parent's fit and of who asks.
        folder: keeps fits and finished walks for a later run on the same data; None for a temporary one.
        processes: how many work at once; None for one per core.
        regime: how models are trained.

    Raises:
        TooFewUsers: fewer report users than requests; nothing has been trained then.
    """
    one_thread()
    header, watch = environment(), Stopwatch()
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workshop = Workshop(data, folder, regime or Regime())
        population = workshop.population
        places = order(workshop, requests, seed)
        bar, pool = stack.enter_context(bars()), Pool(workshop, processes)
        workshop.fits.base(population, bar("base on the panel"))
        final = refit_without(workshop, frozenset(places), seed + 1)
        wanted = [orders.parent(population, seed), *orders.level_fits(population, seed), final]
        move_fits = bar(f"{len(wanted)} fits")
        pool.fit(wanted, lambda done: move_fits(Reached(done, len(wanted))))
        lived = [
            Walk(name, requests, seed, consolidates) for name, consolidates in map(WALKS.__getitem__, walks)
        ]
        move = bar(f"{len(lived)} walks")
        pool.work(lived, lambda done: move(Reached(done, len(lived))))
        cells = Cells(folder / "cells")
        rows = []
        for walk in lived:
            cell = cells.get(walk.keys(workshop)[0])
            assert cell is not None, "the pool finished without this cell"
            rows += cell["rows"]
        kept = tuple(split for place, split in enumerate(population.service) if place not in set(places))
        fitted = workshop.fit(final)
        # What chance and the levels' own error make of a model that never saw any of them.
        z = places_in_band(workshop, fitted.adapter, places, levels(workshop, seed))
        reference = {
            **utility(workshop, fitted.adapter, kept),
            **sides(z, workshop.policy.membership_z),
            "seconds": fitted.cost.seconds,
        }
    return {
        "benchmark": "sequence",
        "environment": header,
        "data": {"source": population.source, "service_users": len(population.service), "kept": len(kept)},
        "training": to_plain(workshop.regime),
        "policy": {"name": workshop.policy.name, "hash": workshop.policy.hash},
        "consolidation": to_plain(workshop.policy.consolidation),
        "requests": requests,
        "seed": seed,
        "refit": reference,
        "wall_seconds": watch.seconds,
        "rows": rows,
    }
