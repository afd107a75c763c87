"""The cost of one forget request by the number of retained users: `lethe bench scale`.

The services differ only in the number of users; each gets one request of one user. The benchmark times what a run
computes: reading the parent for the gate, each method of the default ladder, and measuring its candidate. It also times
one epoch of a re-fit, whose cost does grow with the users. The adapter is fitted for one epoch. In every service the
levels lie one nat above the adapter's loss, because a longer way would take more rounds whatever the number of users.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bars import Reached, bars
from benchmarks.environment import environment
from benchmarks.fits import Regime, untrained_base
from recommender import (
    AdapterConfig,
    Base,
    BaseConfig,
    LongTailConfig,
    Split,
    TrainingConfig,
    attach,
    fit_adapter,
    generate_long_tail,
    leave_two_out,
    use_processor,
)
from unlearning import EvaluationInputs, Method, NeverSeen, build_method, default_policy, evaluate
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.reading import read

SIZES = (500, 1000, 2000, 4000, 8000)
ITEMS, SHORTEST, MEDIAN_EVENTS = 2000, 5, 12.0
_REGIME = Regime(adapter_config=AdapterConfig(), adapter_training=TrainingConfig(epochs=1, patience=None))


def run(
    sizes: Sequence[int] = SIZES, *, repeats: int = 5, items: int = ITEMS, folder: Path
) -> dict[str, Any]:
    """Time `repeats` requests in a service of each of these `sizes`; returns JSON values.

    Args:
        folder: the folder for the base.
    """
    use_processor(1)
    header = environment()
    data = generate_long_tail(
        LongTailConfig(
            users=max(sizes),
            items=items,
            median_length=MEDIAN_EVENTS,
            length_spread=1.0,
            tastes=max(items // 40, 1),
            min_length=SHORTEST,
        )
    )
    splits = [leave_two_out(data.items(user)) for user in sorted(data.histories)]
    with bars() as bar:
        base = untrained_base(data.catalogue, BaseConfig(), folder)
        move, rows = bar("services"), []
        for done, size in enumerate(sizes, start=1):
            rows.append(_row(base, splits[:size], repeats))
            move(Reached(done, len(sizes)))
    return {
        "benchmark": "scale",
        "environment": header,
        "data": {"items": items, "events": [sum(len(one.train) for one in splits[:size]) for size in sizes]},
        "repeats": repeats,
        "max_retained": default_policy().evaluation.max_retained,
        "rows": rows,
    }


def _methods() -> dict[str, Method]:
    """The methods of the default ladder by name, without the exact ones."""
    found: dict[str, Method] = {}
    for rung in default_policy().ladder:
        method = build_method(rung.method, rung.config)
        if not method.card.exact:
            config = ", ".join(f"{name} {value:g}" for name, value in rung.config.items())
            found[f"{rung.method} ({config})" if config else rung.method] = method
    return found


def _row(base: Base, splits: Sequence[Split], repeats: int) -> dict[str, Any]:
    policy = default_policy()
    watch = time.perf_counter()
    adapter = fit_adapter(
        base, [split.train for split in splits], _REGIME.adapter_config, _REGIME.adapter_training
    )
    epoch = time.perf_counter() - watch
    model, items = attach(base, adapter), base.style.event_options
    seconds: dict[str, list[float]] = {}
    # The same subjects in every service, of similar length: a longer history costs more in any service.
    for place in range(repeats):
        subject, others = splits[place], (*splits[:place], *splits[place + 1 :])
        (reading,) = read(model, base.style, [subject.train], ranked=0)
        seen = float(smoothed(reading.nll, policy.evaluation.smoothing, items).mean())
        level = NeverSeen(seen + 1.0, 0.2, seen)
        watch = time.perf_counter()
        inputs = EvaluationInputs.prepare(
            base,
            adapter,
            subjects=(subject.train,),
            retained=others,
            seed=place,
            never_seen=(level,),
            config=policy.evaluation,
        )
        _note(seconds, "reading the parent", watch)
        task = _REGIME.task(
            base,
            adapter,
            [subject.train],
            [split.train for split in others],
            seed=place,
            never_seen_nll=(level.smoothed_nll,),
            smoothing=policy.evaluation.smoothing,
        )
        for name, method in _methods().items():
            watch = time.perf_counter()
            candidate = method.run(task)
            _note(seconds, name, watch)
            watch = time.perf_counter()
            evaluate(inputs, candidate, method)
            _note(seconds, "measuring a candidate", watch)
    return {
        "users": len(splits),
        "seconds": {name: median(values) for name, values in seconds.items()},
        "request_seconds": _request(seconds),
        "epoch_seconds": epoch,
    }


def _request(seconds: Mapping[str, Sequence[float]]) -> float:
    """The seconds of a request that tries every rung except the exact one."""
    methods = _methods()
    return median(seconds["reading the parent"]) + sum(
        median(seconds[name]) + median(seconds["measuring a candidate"]) for name in methods
    )


def _note(seconds: dict[str, list[float]], stage: str, since: float) -> None:
    seconds.setdefault(stage, []).append(time.perf_counter() - since)
