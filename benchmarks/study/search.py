"""The search for configurations: the same number of trials for every method, on development users, by distance.

`distance` is that of `Examination.development_distance`: nats between the candidate and an ensemble of re-fits, on the
subjects and on retained users' own items, plus the loss on held-out items. It penalises both too little and too much
forgetting. The re-fit itself scores the floor, which is due to seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from statistics import fmean
from typing import Any

from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.development import development_deletions
from benchmarks.study.examination import Examination
from benchmarks.study.levels import subject_levels
from benchmarks.study.variants import Variant
from benchmarks.study.workshop import Workshop
from recommender import Adapter
from unlearning import ActivationStatistics, collect_statistics
from unlearning.records import canonical_json, sha256_hex, to_plain

TRIALS = 8
_RETAINED = 150

Space = Mapping[str, Sequence[Any]]

_WALK: Space = {"lr": (1e-4, 3e-4, 1e-3, 3e-3), "steps": (10, 30)}
_SHORT_WALK: Space = {"lr": (3e-5, 1e-4, 3e-4, 1e-3), "steps": (3, 10)}
# Each space is a grid of TRIALS points; options that it does not name keep their defaults. Methods without an entry
# have nothing to choose. First trials on development users, and nothing else, suggested where to place the grids.
_BATCH_SPACES: Mapping[str, Space] = {
    "ucan": {"basis": ("rank",), "threshold": (0.2, 0.5), "gamma": (1.5, 3.0, 6.0, 12.0)},
    "e2urec": {"lr": (3e-4, 1e-3), "alpha": (1.0, 2.0), "steps": (20, 40)},
    "cure": {"lr": (3e-4, 1e-3), "circuit_share": (0.25, 0.5), "steps": (10, 30)},
    "gradient_ascent": {"lr": (1e-4, 3e-4, 1e-3, 3e-3), "steps": (5, 10)},
    "gradient_difference": _WALK,
    "npo": {"lr": (3e-4, 1e-3), "steps": (10, 30), "beta": (0.5, 2.0)},
    "simnpo": {"lr": (3e-4, 1e-3), "delta": (0.0, 4.0), "forget_weight": (0.125, 1.0)},
    "random_label": {"lr": (3e-4, 1e-3), "steps": (10, 30), "forget_weight": (0.2, 1.0)},
    "pcgrad": _WALK,
    "llm_eraser": {"prune_ratio": (0.05, 0.1, 0.2, 0.4), "pool_ratio": (0.4, 0.8)},
    "llmeraser": {
        "damping": (0.03, 0.3),
        "step_scale": (1.0, 3.0, 10.0, 30.0),
        "retain_windows": (64,),
    },
    "ssd": {"alpha": (1.0, 1.5, 2.0, 4.0), "dampening": (0.5, 1.0)},
    "uniform_shrink": {"factor": (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)},
}
# One user is a single batch, so thirty steps are thirty epochs.
_SINGLE_SPACES: Mapping[str, Space] = {
    **_BATCH_SPACES,
    "cure": {"lr": (1e-4, 3e-4), "circuit_share": (0.25, 0.5), "steps": (3, 10)},
    "gradient_ascent": {"lr": (3e-5, 1e-4, 3e-4, 1e-3), "steps": (3, 10)},
    "gradient_difference": _SHORT_WALK,
    "npo": {"lr": (1e-4, 3e-4), "steps": (5, 15), "beta": (0.5, 2.0)},
    "pcgrad": _SHORT_WALK,
}
SPACES: Mapping[str, Mapping[str, Space]] = {"batch": _BATCH_SPACES, "single": _SINGLE_SPACES}


@dataclass(frozen=True)
class Trial:
    """One configuration of one method in one setting."""

    setting: str
    variant: Variant

    def keys(self, workshop: Workshop) -> list[str]:
        """The one cell of this trial."""
        return [
            Cells.key(
                {
                    "search": self.setting,
                    "base": workshop.base.digest,
                    "regime": to_plain(workshop.regime),
                    "policy": workshop.policy.hash,
                    "deletions": sha256_hex(
                        canonical_json([deletion.subjects for deletion in _deletions(workshop, self.setting)])
                    ),
                    "method": self.variant.name,
                    "config": self.variant.plain(),
                }
            )
        ]

    def run(self, workshop: Workshop, cells: Cells) -> None:
        """Measure the distance unless the cell is finished."""
        (key,) = self.keys(workshop)
        if cells.get(key) is None:
            cells.put(key, self._measured(workshop))

    def _measured(self, workshop: Workshop) -> dict[str, Any]:
        found, seconds = [], []
        for index, deletion in enumerate(_deletions(workshop, self.setting)):
            parent, statistics = _parent(workshop)
            if self.variant.name == "refit":
                adapter, spent = workshop.fit(orders.refit(deletion)).adapter, 0.0
            else:
                task = workshop.regime.task(
                    workshop.base,
                    parent,
                    deletion.subjects,
                    deletion.task_sequences,
                    seed=deletion.seed,
                    statistics=statistics,
                    never_seen_nll=subject_levels(workshop, deletion.seed, deletion),
                    smoothing=workshop.policy.evaluation.smoothing,
                )
                made = self.variant.method.run(task)
                adapter, spent = made.adapter, made.cost.seconds
            found.append(_examination(workshop, self.setting, index).development_distance(adapter))
            seconds.append(spent)
        return {
            "seconds": fmean(seconds),
            **{name: fmean(figures[name] for figures in found) for name in found[0]},
        }


def trials(names: Sequence[str]) -> list[Trial]:
    """Every trial of these methods, in both settings. A method with nothing to choose gets one, for comparison."""
    return [
        Trial(setting, Variant(name, name, dict(zip(space, point, strict=True))))
        for setting, spaces in SPACES.items()
        for name in names
        for space in (spaces.get(name, {}),)
        for point in product(*space.values())
    ]


def chosen(found: Sequence[tuple[Trial, Mapping[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """For each setting and method, the configuration with the least distance; the first one in a tie."""
    best: dict[str, dict[str, dict[str, Any]]] = {}
    least: dict[tuple[str, str], float] = {}
    for trial, cell in found:
        place = (trial.setting, trial.variant.name)
        if trial.variant.config and cell["distance"] < least.get(place, float("inf")):
            least[place] = cell["distance"]
            best.setdefault(trial.setting, {})[trial.variant.name] = dict(trial.variant.config)
    return best


@lru_cache(maxsize=1)
def _all_deletions(workshop: Workshop) -> Mapping[str, Any]:
    return development_deletions(workshop.population)


def _deletions(workshop: Workshop, setting: str) -> Sequence[Any]:
    return tuple(_all_deletions(workshop)[setting])


@lru_cache(maxsize=8)
def _examination(workshop: Workshop, setting: str, index: int) -> Examination:
    deletion = _deletions(workshop, setting)[index]
    return Examination.prepare(
        workshop, deletion, _parent(workshop)[0], workshop.policy, most_retained=_RETAINED
    )


@lru_cache(maxsize=1)
def _parent(workshop: Workshop) -> tuple[Adapter, ActivationStatistics]:
    order = orders.parent(workshop.population, 0)
    adapter = workshop.fit(order).adapter
    return adapter, collect_statistics(
        workshop.base, adapter, order.sequences, sites=("bottleneck", "input", "output")
    )
