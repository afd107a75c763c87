"""U-CAN in each basis, compared with the uniform shrink: `lethe bench basis`.

Every row has the same number of trials on development users, ranked by distance to an ensemble of re-fits. The best
trial of each row is then measured on report users, together with doing nothing and with one more re-fit.

The benchmark also measures what U-CAN contrasts: the mean gap of the channels between a group of users and all others,
for subjects, for other members, and for people whom no fit ever saw. A gap that is the same for all three says nothing
about membership.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Unpack

import torch

from benchmarks.population import Population, synthetic_population
from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.deletions import Deletion, deletions
from benchmarks.study.development import development_deletions
from benchmarks.study.examination import Examination
from benchmarks.study.scenarios import SCENARIOS, Scenario
from benchmarks.study.session import Means, Session, session
from benchmarks.study.variants import Variant
from benchmarks.study.workshop import Workshop
from recommender import Adapter, SyntheticConfig
from unlearning import ActivationStatistics, collect_statistics
from unlearning.activations.statistics import Site
from unlearning.methods.ladder.ucan.basis import in_basis
from unlearning.methods.ladder.ucan.config import Basis, UcanConfig
from unlearning.methods.ladder.ucan.factors import lora_weights
from unlearning.methods.ladder.ucan.scores import activation_gap
from unlearning.records import to_plain

BASES: tuple[Basis, ...] = ("rank", "svd", "contrast_z", "contrast_x")
SITES: tuple[Site, ...] = ("bottleneck", "input")
_GRID: Mapping[str, Sequence[float]] = {
    "threshold": (0.2, 0.5),
    "gamma": (0.25, 0.5, 1.0, 1.5, 3.0, 6.0, 12.0),
}
# As many trials as each basis has configurations.
_FACTORS = tuple(round(0.95 - 0.05 * step, 2) for step in range(14))
_RETAINED = 150
# Shorter histories and fewer items than MovieLens-100K: a choice should hold on such data too.
GENERATED = SyntheticConfig(
    users=500, items=400, tastes=10, tastes_per_user=2, mean_length=14.0, min_length=6
)


@dataclass(frozen=True)
class _GeneratedWorkshop(Workshop):
    """A workshop whose users are generated."""

    @cached_property
    def population(self) -> Population:
        return synthetic_population(GENERATED)


def grid(row: str) -> list[Variant]:
    """The configurations of one row that are tried on development users."""
    if row == "uniform_shrink":
        return [Variant(row, row, {"factor": factor}) for factor in _FACTORS]
    return [
        Variant(row, "ucan", {"basis": row, **dict(zip(_GRID, point, strict=True))})
        for point in product(*_GRID.values())
    ]


def run(
    data: Path | None = None,
    *,
    seeds: int = 3,
    scenario: Scenario = SCENARIOS["users-5"],
    **means: Unpack[Means],
) -> dict[str, Any]:
    """Measure on `data`, or on generated users if it is None; returns JSON values. `means` are those of `session`."""
    kind = _GeneratedWorkshop if data is None else Workshop
    place = data or Path("generated")
    with session(place, kind=kind, **means) as study:
        workshop, population = study.workshop, study.workshop.population
        (development,) = development_deletions(population)["batch"]
        reported = [deletions(population, scenario, seed)[0] for seed in range(seeds)]
        wanted = [orders.refit(deletion) for deletion in reported]
        for deletion in (development, *reported):
            wanted += [orders.parent(population, deletion.seed), *orders.references(deletion)]
        study.fit(wanted)
        tried = _measured(
            study, development, [each for row in (*BASES, "uniform_shrink") for each in grid(row)]
        )
        chosen = _chosen(tried)
        variants = [
            *chosen.values(),
            # The configuration of a policy that gives only the method's name.
            Variant("ucan_default", "ucan", {}),
            Variant("do_nothing", "do_nothing", {}),
            Variant("refit", "refit", {}),
        ]
        rows = [row for deletion in reported for row in _measured(study, deletion, variants)]
        gaps = [gap for deletion in reported for gap in _gaps(workshop, deletion)]
        return study.result(
            "basis",
            {
                "items": len(population.catalogue),
                "service_users": len(population.service),
                "development_users": population.development,
                "outsiders": len(population.outsiders),
            },
            scenario=scenario.name,
            chosen={row: dict(variant.config) for row, variant in chosen.items()},
            trials=tried,
            rows=rows,
            gaps=gaps,
        )


def _measured(study: Session, deletion: Deletion, variants: Sequence[Variant]) -> list[dict[str, Any]]:
    workshop = study.workshop
    cells, done_of = Cells(workshop.folder / "cells"), study.counted(f"of {deletion.name}", len(variants))
    bench = _Bench(workshop, deletion)
    found = []
    for done, variant in enumerate(variants, start=1):
        key = Cells.key(
            {
                "basis": deletion.name,
                "base": workshop.base.digest,
                "regime": to_plain(workshop.regime),
                "policy": workshop.policy.hash,
                "subjects": deletion.subjects,
                "method": variant.name,
                "config": variant.plain(),
            }
        )
        if cells.get(key) is None:
            cells.put(key, bench.distance(variant))
        found.append(
            {
                "deletion": deletion.name,
                "row": variant.row,
                "config": dict(variant.config),
                **(cells.get(key) or {}),
            }
        )
        done_of(done)
    return found


@dataclass(frozen=True)
class _Bench:
    """Makes and measures the candidates of one deletion."""

    workshop: Workshop
    deletion: Deletion

    @cached_property
    def parent(self) -> Adapter:
        return self.workshop.fit(orders.parent(self.workshop.population, self.deletion.seed)).adapter

    @cached_property
    def examination(self) -> Examination:
        return Examination.prepare(
            self.workshop, self.deletion, self.parent, self.workshop.policy, most_retained=_RETAINED
        )

    @cached_property
    def statistics(self) -> ActivationStatistics:
        everybody = [split.train for split in self.workshop.population.service]
        return collect_statistics(self.workshop.base, self.parent, everybody, sites=SITES, moments=SITES)

    def distance(self, variant: Variant) -> dict[str, Any]:
        """Distances of the candidate that `variant` makes from the parent, and the seconds that it took."""
        if variant.name == "refit":
            kept = self.workshop.fit(orders.refit(self.deletion))
            adapter, seconds = kept.adapter, kept.cost.seconds
        else:
            task = self.workshop.regime.task(
                self.workshop.base,
                self.parent,
                self.deletion.subjects,
                self.deletion.task_sequences,
                seed=self.deletion.seed,
                statistics=self.statistics,
            )
            made = variant.method.run(task)
            adapter, seconds = made.adapter, made.cost.seconds
        return {"seconds": seconds, **self.examination.development_distance(adapter)}


def _chosen(tried: Sequence[Mapping[str, Any]]) -> dict[str, Variant]:
    """For every row the trial nearest to the re-fits; the first one in a tie."""
    best: dict[str, Mapping[str, Any]] = {}
    for trial in tried:
        if trial["distance"] < best.get(trial["row"], {"distance": float("inf")})["distance"]:
            best[trial["row"]] = trial
    return {
        row: Variant(row, "uniform_shrink" if row == "uniform_shrink" else "ucan", dict(trial["config"]))
        for row, trial in best.items()
    }


def _gaps(workshop: Workshop, deletion: Deletion) -> list[dict[str, Any]]:
    """The mean relative gap between groups of the same size and all members outside the group, in every basis."""
    bench, population = _Bench(workshop, deletion), workshop.population
    size = min(len(deletion.places), len(population.outsiders))
    draw = random.Random(deletion.seed)
    others = [place for place in population.report_users if place not in set(deletion.places)]
    members = {
        "subjects": draw.sample(deletion.places, size),
        "other members": draw.sample(others, min(size, len(others))),
    }
    groups = {name: [population.service[place].train for place in places] for name, places in members.items()}
    groups["outsiders"] = [split.train for split in population.outsiders[:size]]
    weights = lora_weights(bench.parent)
    found = []
    for name, sequences in groups.items():
        own = collect_statistics(workshop.base, bench.parent, sequences, sites=SITES, moments=SITES)
        rest = bench.statistics if name == "outsiders" else bench.statistics - own
        for basis in BASES:
            config = UcanConfig(basis=basis)
            pairs, forget, retain = weights, own, rest
            if basis != "rank":
                view = in_basis(config, weights, own, rest)
                pairs, forget, retain = dict(view.weights), view.forget, view.retain
            gap = torch.cat([activation_gap(config, forget, retain, module) for module in pairs])
            found.append({"deletion": deletion.name, "basis": basis, "group": name, "gap": float(gap.mean())})
    return found
