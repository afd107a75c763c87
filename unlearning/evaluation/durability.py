"""Durability of the edit: the candidate after rounding, and under a short relearning attack.

Both are cheap enough for every run: one forward over the subjects, and a few training steps on some of them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean

from recommender import Adapter, attach
from unlearning.attacks.relearning import RelearningConfig, relearning_curve
from unlearning.attacks.rounding import rounded
from unlearning.evaluation.inputs import EvaluationInputs
from unlearning.evaluation.reading import read
from unlearning.evaluation.report import DurabilityEvidence, RelearningEvidence
from unlearning.progress import ShouldStop

# The attacker holds this share of a subject's items. One item reveals nothing about the others, so only subjects for
# whom the share amounts to at least two items take part.
_SHARE, _LEAST_HELD = 0.1, 2
_MOST_SUBJECTS = 8


def measure_durability(
    inputs: EvaluationInputs, adapter: Adapter, *, should_stop: ShouldStop | None = None
) -> DurabilityEvidence:
    """The subjects' mean gain after rounding to int8, and the result of a relearning attack.

    Raises:
        AdapterMismatch: the adapter does not fit the base.
        Interrupted: `should_stop` answered yes.
    """
    return DurabilityEvidence(
        rounded_gain=mean_gain(inputs, rounded(adapter, 8), should_stop=should_stop),
        relearning=_relearning(inputs, adapter, should_stop),
    )


def mean_gain(inputs: EvaluationInputs, adapter: Adapter, *, should_stop: ShouldStop | None = None) -> float:
    """The mean over the subjects of their mean gain under an adapter, in nats; one forward over the subjects.

    Raises:
        AdapterMismatch: the adapter does not fit the base.
        Interrupted: `should_stop` answered yes.
    """
    readings = read(
        attach(inputs.base, adapter),
        inputs.base.style,
        inputs.subjects,
        ranked=0,
        counted=inputs.counted,
        token_budget=inputs.token_budget,
        should_stop=should_stop,
    )
    gains = inputs.base_readings.subject_gains(readings, inputs.config)
    return fmean(float(own.mean()) for own in gains)


def attackable(items: Sequence[int], seed: int) -> tuple[int, ...]:
    """Indices of the subjects to attack: at most 8 of those with enough items, drawn with `seed`.

    `items` are the subjects' numbers of items.
    """
    enough = [index for index, count in enumerate(items) if round(_SHARE * count) >= _LEAST_HELD]
    if len(enough) <= _MOST_SUBJECTS:
        return tuple(enough)
    return tuple(sorted(random.Random(seed).sample(enough, _MOST_SUBJECTS)))


def checkpoints(steps: int) -> tuple[int, ...]:
    """The steps after which the attack is measured: 0, the powers of 2 below `steps`, and `steps`."""
    powers = [1 << exponent for exponent in range(steps.bit_length()) if 1 << exponent < steps]
    return (0, *powers, steps)


def _relearning(
    inputs: EvaluationInputs, adapter: Adapter, should_stop: ShouldStop | None
) -> RelearningEvidence | None:
    counts = [len(reading.nll) for reading in inputs.base_readings.subject_readings]
    chosen = attackable(counts, inputs.seed)
    if not chosen or inputs.config.relearning_steps == 0:
        return None
    curve = relearning_curve(
        inputs.base,
        adapter,
        [inputs.subjects[index] for index in chosen],
        None if inputs.counted is None else [inputs.counted[index] for index in chosen],
        RelearningConfig(
            share=_SHARE, checkpoints=checkpoints(inputs.config.relearning_steps), seed=inputs.seed
        ),
        should_stop=should_stop,
    )
    return RelearningEvidence(len(chosen), curve.attacked, curve.measured, curve.steps, curve.nll)
