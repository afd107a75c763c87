"""The cost of U-CAN relative to one forward pass: `lethe bench ucan-cost`.

The yardstick is one plain forward pass over the same forget set in the same batches: tokens in, logits at every
position out, with the model already in memory. U-CAN is the whole method as a run calls it: building its own model
around the shared base, the pass with its hooks, subtracting from the cached sums, scoring, gating and editing. The two
alternate, and each repeat compares neighbours, so that other work on the machine affects both.

Memory is tensor memory: the profiler records every allocation and release, and the peak is the most that was alive at
once beyond what was there before. Neither figure contains the weights.

U-CAN needs no logits and computes them at one position only, so it can be quicker and smaller than its yardstick. The
figures `…_without_logits` take that advantage away: there the plain forward pass also computes them at one position.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.bars import bars
from benchmarks.environment import environment
from benchmarks.fits import Fits, Regime
from benchmarks.population import Population, load_population, synthetic_population
from recommender import Adapter, Base, SyntheticConfig, TrainingConfig, attach, fit_adapter
from recommender.batching import by_token_budget, pad_right
from recommender.styles.style import METHODS_DRAW
from unlearning import ForgetTask, collect_statistics
from unlearning.attacks.cost import collector_paused, peak_tensor_bytes
from unlearning.methods.ladder.ucan.ucan import Ucan
from unlearning.records import to_plain

TOKEN_BUDGET = 8192
# About as many users, items and events per user as MovieLens-100K.
SYNTHETIC = SyntheticConfig(users=940, items=1340, tastes=10, tastes_per_user=3, mean_length=100.0)
TIME_LIMIT, MEMORY_LIMIT = 1.25, 1.15


Work = Callable[[], object]
Seconds = dict[str, list[tuple[float, float]]]


def run(
    data: Path | None = None, *, share: float = 0.05, repeats: int = 15, regime: Regime | None = None
) -> dict[str, Any]:
    """Measure on `data`, or on synthetic users if it is None; returns JSON values.

    The headline is for `share` of the users at once. A row for a single subject shows the fixed cost.
    """
    population = load_population(data) if data is not None else synthetic_population(SYNTHETIC)
    header = environment()
    method, fits = Ucan(), Fits(regime=regime)
    with bars() as bar:
        base = fits.base(population, bar("base on the panel"))
        adapter = _quick_adapter(base, population, fits.regime)
        rows = []
        for count in (round(share * len(population.service)), 1):
            task = _task(method, fits.regime, population, base, adapter, population.report_users[:count])
            works: dict[str, Work] = {
                "forward": _forward(base, adapter, task.forget, logits_to_keep=0),
                "forward_without_logits": _forward(base, adapter, task.forget, logits_to_keep=1),
                "ucan": partial(method.run, task),
            }
            seconds = _alternate(works, repeats, bar(f"{count} subjects"))
            rows.append(
                _row(count, task, seconds, {name: peak_tensor_bytes(work) for name, work in works.items()})
            )
    headline = rows[0]
    return {
        "benchmark": "ucan-cost",
        "environment": header,
        "data": {"source": population.source, "service_users": len(population.service)},
        "model": to_plain({"base": fits.regime.base_config, "adapter": fits.regime.adapter_config}),
        "method": to_plain(method.config),
        "token_budget": TOKEN_BUDGET,
        "repeats": repeats,
        "ratio_to_forward": headline["ratio_to_forward"],
        "ratio_to_forward_limit": TIME_LIMIT,
        "peak_memory_ratio": headline["peak_memory_ratio"],
        "peak_memory_ratio_limit": MEMORY_LIMIT,
        "rows": rows,
    }


def _quick_adapter(base: Base, population: Population, regime: Regime) -> Adapter:
    # The cost does not depend on what the adapter learned, so one short epoch is enough.
    sequences = [split.train for split in population.service[:64]]
    return fit_adapter(base, sequences, regime.adapter_config, TrainingConfig(epochs=1, patience=None))


def _task(
    method: Ucan, regime: Regime, population: Population, base: Base, adapter: Adapter, forget: Sequence[int]
) -> ForgetTask:
    everybody = tuple(split.train for split in population.service)
    chosen = set(forget)
    return regime.task(
        base,
        adapter,
        [everybody[place] for place in forget],
        [sequence for place, sequence in enumerate(everybody) if place not in chosen],
        seed=0,
        statistics=collect_statistics(
            base,
            adapter,
            everybody,
            sites=method.config.sites,
            moments=method.config.moments,
            token_budget=TOKEN_BUDGET,
        ),
    )


def _forward(
    base: Base, adapter: Adapter, sequences: Sequence[Sequence[int]], *, logits_to_keep: int
) -> Work:
    """One plain pass over the training windows of `sequences`, in U-CAN's batches. `logits_to_keep` 0 keeps all."""
    model = attach(base, adapter)
    windows = [
        window.tokens for sequence in sequences for window in base.style.windows(sequence, draw=METHODS_DRAW)
    ]

    def forward() -> None:
        with torch.inference_mode():
            for batch in by_token_budget([len(window) for window in windows], TOKEN_BUDGET):
                tokens, _ = pad_right([windows[index] for index in batch], base.style.pad_token)
                model(input_ids=tokens, use_cache=False, logits_to_keep=logits_to_keep)

    return forward


@dataclass(frozen=True)
class _Repeat:
    step: int
    steps: int


def _alternate(works: Mapping[str, Work], repeats: int, move: Callable[[_Repeat], None]) -> Seconds:
    """Wall-clock and processor seconds of every piece of work, one entry per repeat."""
    for warm_up in works.values():
        warm_up()
    seconds: Seconds = {name: [] for name in works}
    with collector_paused():
        for repeat in range(repeats):
            # Reverse the order each time: a later piece of work finds warmer caches.
            for name in list(works)[:: 1 if repeat % 2 == 0 else -1]:
                seconds[name].append(_timed(works[name]))
            move(_Repeat(repeat + 1, repeats))
    return seconds


def _timed(work: Work) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _row(count: int, task: ForgetTask, seconds: Seconds, peaks: Mapping[str, int]) -> dict[str, Any]:
    ratios = sorted(_ratios(seconds, "forward", clock=0))
    ucan_seconds = median(wall for wall, _ in seconds["ucan"])
    return {
        "subjects": count,
        "tokens": sum(map(len, task.forget)),
        "forward_seconds": median(wall for wall, _ in seconds["forward"]),
        "ucan_seconds": ucan_seconds,
        "ratio_to_forward": median(ratios),
        "ratio_to_forward_quartiles": [ratios[len(ratios) // 4], ratios[(3 * len(ratios)) // 4]],
        "ratio_to_forward_processor_time": median(_ratios(seconds, "forward", clock=1)),
        "ratio_to_forward_without_logits": median(_ratios(seconds, "forward_without_logits", clock=0)),
        "samples_per_second": count / ucan_seconds,
        "forward_peak_bytes": peaks["forward"],
        "ucan_peak_bytes": peaks["ucan"],
        "peak_memory_ratio": peaks["ucan"] / peaks["forward"],
        "peak_memory_ratio_without_logits": peaks["ucan"] / peaks["forward_without_logits"],
    }


def _ratios(seconds: Seconds, under: str, *, clock: int) -> list[float]:
    """The ratio of U-CAN to `under` in each repeat; `clock` 0 is wall-clock time, 1 processor time."""
    return [ours[clock] / theirs[clock] for ours, theirs in zip(seconds["ucan"], seconds[under], strict=True)]
