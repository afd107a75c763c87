"""What a run is judged on, read once under the base and the parent and reused for every candidate."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from recommender import Adapter, Base, Split, attach
from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.config import EvaluationConfig
from unlearning.evaluation.evidence import BaseReadings, ModelEvidence, item_popularity
from unlearning.evaluation.metrics import HELD_OUT, Measured
from unlearning.evaluation.reading import Divergence, read
from unlearning.progress import OnStep, ShouldStop


@dataclass(frozen=True)
class EvaluationInputs:
    """Inputs of `evaluate`; make them with `prepare`, which reads the base and the parent."""

    base: Base
    parent: Adapter
    subjects: tuple[tuple[int, ...], ...]
    counted: tuple[tuple[bool, ...], ...] | None
    retained: tuple[Split, ...]
    retained_available: int
    seed: int
    config: EvaluationConfig
    token_budget: int
    base_readings: BaseReadings
    parent_measured: Measured
    parent_evidence: ModelEvidence

    @classmethod
    def prepare(
        cls,
        base: Base,
        parent: Adapter,
        *,
        subjects: Sequence[Sequence[int]],
        retained: Sequence[Split],
        seed: int,
        counted: Sequence[Sequence[bool]] | None = None,
        config: EvaluationConfig | None = None,
        token_budget: int = 8192,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> EvaluationInputs:
        """Read everything that no candidate changes: two forwards over subjects and retained users.

        Args:
            subjects: the subjects' training sequences, in the order of the task's `forget`.
            counted: the task's `forget_targets`; None where all of the subjects' items are forgotten.
            retained: the other users' splits; `config.max_retained` of them are drawn with `seed`.

        Raises:
            InvalidEvaluation: no subject, a subject without items, or fewer than two retained users.
            Interrupted: `should_stop` answered yes.
        """
        config = config or EvaluationConfig()
        if not subjects or not all(len(subject) for subject in subjects):
            raise InvalidEvaluation("there must be at least one subject, and each needs a training item")
        sample = sample_retained(retained, config.max_retained, seed)
        if len(sample) < 2:
            raise InvalidEvaluation("at least two retained users are needed to compare the subjects with")
        frozen = tuple(tuple(subject) for subject in subjects)
        marks = None if counted is None else tuple(tuple(own) for own in counted)
        histories = [whole_history(split) for split in sample]
        readings = [
            read(
                model,
                base.style,
                sequences,
                ranked=config.tail_items + extra,
                counted=chosen,
                token_budget=token_budget,
                on_step=on_step,
                should_stop=should_stop,
            )
            for model in (base.model, attach(base, parent))
            for sequences, extra, chosen in ((frozen, 0, marks), (histories, HELD_OUT, None))
        ]
        base_subjects, base_retained, parent_subjects, parent_retained = readings
        base_readings = BaseReadings(
            frozen, marks, sample, base_subjects, base_retained, item_popularity(sample, len(base.catalogue))
        )
        items = sum(len(reading.nll) for reading in parent_subjects)
        measured = Measured(parent_subjects, parent_retained, Divergence(0.0, 0.0, items))
        return cls(
            base=base,
            parent=parent,
            subjects=frozen,
            counted=marks,
            retained=sample,
            retained_available=len(retained),
            seed=seed,
            config=config,
            token_budget=token_budget,
            base_readings=base_readings,
            parent_measured=measured,
            parent_evidence=base_readings.evidence(measured, config),
        )


def whole_history(split: Split) -> tuple[int, ...]:
    """Train, validation and test items in time order."""
    return (*split.train, split.validation, split.test)


def sample_retained(retained: Sequence[Split], most: int | None, seed: int) -> tuple[Split, ...]:
    """At most `most` of the users, None for all; the same ones for the same seed, in their order."""
    if most is None or len(retained) <= most:
        return tuple(retained)
    # Keeping the original order makes the sample, and so the report, independent of how sampling shuffles.
    chosen = sorted(random.Random(seed).sample(range(len(retained)), most))
    return tuple(retained[index] for index in chosen)
