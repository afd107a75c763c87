"""The pieces that processes work on: some rows of one deletion, or one method's walk through a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from benchmarks.environment import commit
from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.deletions import Deletion, deletions, whole_users
from benchmarks.study.examination import Examination
from benchmarks.study.levels import subject_levels
from benchmarks.study.memory import with_peak
from benchmarks.study.scenarios import Scenario
from benchmarks.study.variants import Variant
from benchmarks.study.workshop import Workshop
from recommender import Adapter, Interrupted, RecommenderError
from unlearning import ActivationStatistics, Candidate, Cost, ForgetTask, UnlearningError, collect_statistics
from unlearning.methods.compared.sharded import Sharded
from unlearning.methods.method import Method
from unlearning.records import canonical_json, sha256_hex, to_plain

# The result of a sequence is examined after so many requests.
CHECKPOINTS = (1, 5, 10, 20)
SHADOWED_SCENARIO = "users-1"
POPULARITY = Variant("popularity", "do_nothing", {})


@dataclass(frozen=True)
class Job:
    """Some rows of one deletion. `light` rows leave out attacks that need training."""

    scenario: Scenario
    seed: int
    index: int
    variants: tuple[Variant, ...]
    light: bool = False

    def keys(self, workshop: Workshop) -> dict[str, Variant]:
        """The cells this job makes."""
        deletion = _deletion(workshop, self.scenario, self.seed, self.index)
        shared = {
            "base": workshop.base.digest,
            "regime": to_plain(workshop.regime),
            "policy": workshop.policy.hash,
            "scenario": self.scenario.name,
            "seed": self.seed,
            "deletion": sha256_hex(canonical_json([deletion.subjects, deletion.counted])),
            "others": sha256_hex(canonical_json([deletion.retained, workshop.population.outsiders])),
            "light": self.light,
        }
        return {
            Cells.key({**shared, "row": variant.row, "config": variant.plain()}): variant
            for variant in self.variants
        }

    def run(self, workshop: Workshop, cells: Cells) -> None:
        """Make the cells that do not exist yet."""
        for key, variant in self.keys(workshop).items():
            if cells.get(key) is None:
                work = _walk if self.scenario.kind == "sequence" else _examine
                try:
                    found = list(work(self, workshop, variant))
                except Interrupted:
                    raise
                except (UnlearningError, RecommenderError) as error:
                    # One method that diverges must not end the study, now or when it is resumed.
                    deletion = _deletion(workshop, self.scenario, self.seed, self.index)
                    found = [{**_head(self.scenario, deletion, variant), "error": str(error)}]
                cells.put(key, {"commit": commit(), "rows": found})


def _examine(job: Job, workshop: Workshop, variant: Variant) -> Iterator[dict[str, Any]]:
    scenario = job.scenario
    deletion = _deletion(workshop, scenario, job.seed, job.index)
    examination = _examination(workshop, scenario, job.seed, job.index)
    head = _head(scenario, deletion, variant)
    if variant == POPULARITY:
        yield {**head, **examination.popularity()}
        return
    parent = workshop.fit(orders.parent(workshop.population, job.seed)).adapter
    task = _task(
        workshop, job.seed, deletion, parent, deletion.task_sequences, _statistics(workshop, job.seed)
    )
    candidate, peak = _made(workshop, variant.method, deletion, task)
    figures = examination.row(candidate, variant.method, attacks=not job.light)
    yield {**head, **figures, "peak_bytes": peak}


def _walk(job: Job, workshop: Workshop, variant: Variant) -> Iterator[dict[str, Any]]:
    """Forget one subject after the other, each starting from the previous result, and examine the checkpoints."""
    population = workshop.population
    requests = deletions(population, job.scenario, job.seed)
    parent = workshop.fit(orders.parent(population, job.seed)).adapter
    places = [deletion.places[0] for deletion in requests]
    together = whole_users(population, f"{job.scenario.name}/{job.seed}", job.seed, places)
    stops = [number for number in CHECKPOINTS if number < len(requests)] + [len(requests)]
    parts = {number: _first(together, number) for number in stops}
    if variant.method.card.exact:
        # The order does not matter to an exact method: it leaves out all subjects at once, at the cost of one fit, and
        # its candidate is compared at every checkpoint.
        task = _task(workshop, job.seed, together, parent, together.retained_sequences, None)
        candidate, _ = _made(workshop, variant.method, together, task)
        for number, part in parts.items():
            yield _checkpoint(job, workshop, variant, candidate, part, number)
        return
    adapter, spent = parent, Cost(0.0, 0, 0, 0)
    for number in range(1, len(requests) + 1):
        gone = set(places[:number])
        # No statistics: every request edits the adapter, so sums cached for it hold for the first request only.
        task = workshop.regime.task(
            workshop.base,
            adapter,
            requests[number - 1].subjects,
            [split.train for place, split in enumerate(population.service) if place not in gone],
            seed=1000 * number + job.seed,
            training_seed=job.seed,
            never_seen_nll=subject_levels(workshop, job.seed, requests[number - 1]),
            smoothing=workshop.policy.evaluation.smoothing,
        )
        made = variant.method.run(task)
        adapter, spent = made.adapter, _sum(spent, made.cost)
        if number in parts:
            candidate = Candidate(adapter=adapter, cost=spent)
            yield _checkpoint(job, workshop, variant, candidate, parts[number], number)


def _first(together: Deletion, number: int) -> Deletion:
    """The first requests of a sequence. The re-fits of the comparison leave out all of its subjects."""
    return replace(
        together,
        name=f"{together.name}/{number}",
        places=together.places[:number],
        subjects=together.subjects[:number],
    )


def _checkpoint(
    job: Job,
    workshop: Workshop,
    variant: Variant,
    candidate: Candidate,
    deletion: Deletion,
    number: int,
) -> dict[str, Any]:
    examination = _examination_on_the_way(workshop, deletion)
    figures = examination.row(candidate, variant.method, attacks=False)
    return {**_head(job.scenario, deletion, variant), "requests": number, **figures}


def _made(
    workshop: Workshop, method: Method, deletion: Deletion, task: ForgetTask
) -> tuple[Candidate, int | None]:
    if method.name == "refit":
        kept = workshop.fit(orders.refit(deletion))
        return Candidate(adapter=kept.adapter, cost=kept.cost), None
    if isinstance(method, Sharded):
        # Its shards come from the workshop, where another process may have fitted them, so the peak is not known.
        return Sharded(method.config, fit=workshop.fits.kept).run(task), None
    return with_peak(lambda: method.run(task))


def _task(
    workshop: Workshop,
    seed: int,
    deletion: Deletion,
    parent: Adapter,
    retain: tuple[tuple[int, ...], ...],
    statistics: ActivationStatistics | None,
) -> ForgetTask:
    return workshop.regime.task(
        workshop.base,
        parent,
        deletion.subjects,
        retain,
        seed=1000 + seed,
        training_seed=seed,
        statistics=statistics,
        forget_targets=deletion.counted,
        never_seen_nll=subject_levels(workshop, seed, deletion),
        smoothing=workshop.policy.evaluation.smoothing,
    )


def _head(scenario: Scenario, deletion: Deletion, variant: Variant) -> dict[str, Any]:
    return {
        "scenario": scenario.name,
        "deletion": deletion.name,
        "seed": deletion.seed,
        "method": variant.row,
        "forgotten_users": len(deletion.subjects),
        "forgotten_items": deletion.items,
    }


def _sum(one: Cost, other: Cost) -> Cost:
    return Cost(
        one.seconds + other.seconds,
        one.forwards + other.forwards,
        one.backwards + other.backwards,
        one.samples + other.samples,
    )


def _deletion(workshop: Workshop, scenario: Scenario, seed: int, index: int) -> Deletion:
    return _deletions(workshop, scenario, seed)[index]


@lru_cache(maxsize=32)
def _deletions(workshop: Workshop, scenario: Scenario, seed: int) -> Sequence[Deletion]:
    return deletions(workshop.population, scenario, seed)


@lru_cache(maxsize=1)
def _examination(workshop: Workshop, scenario: Scenario, seed: int, index: int) -> Examination:
    parent = workshop.fit(orders.parent(workshop.population, seed)).adapter
    return Examination.prepare(
        workshop,
        _deletion(workshop, scenario, seed, index),
        parent,
        workshop.policy,
        with_shadows=scenario.name == SHADOWED_SCENARIO and not workshop.regime.light,
    )


@lru_cache(maxsize=len(CHECKPOINTS) + 1)
def _examination_on_the_way(workshop: Workshop, deletion: Deletion) -> Examination:
    parent = workshop.fit(orders.parent(workshop.population, deletion.seed)).adapter
    return Examination.prepare(workshop, deletion, parent, workshop.policy)


@lru_cache(maxsize=1)
def _statistics(workshop: Workshop, seed: int) -> ActivationStatistics:
    """The activation sums that a service would have cached when it fitted the parent."""
    parent = orders.parent(workshop.population, seed)
    return collect_statistics(
        workshop.base,
        workshop.fit(parent).adapter,
        parent.sequences,
        sites=("bottleneck", "input", "output"),
    )
