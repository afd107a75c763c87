"""What a run is judged on, read once under the base and the parent and reused for every candidate."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from recommender import Adapter, Base, Split, attach
from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.collateral import nearest_retained
from unlearning.evaluation.config import EvaluationConfig
from unlearning.evaluation.evidence import BaseReadings, ModelEvidence, item_popularity
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.metrics import HELD_OUT, Measured
from unlearning.evaluation.reading import Divergence, read
from unlearning.levels.never_seen import NeverSeen
from unlearning.progress import OnStep, ShouldStop


@dataclass(frozen=True)
class EvaluationInputs:
    """Inputs of `evaluate`; make them with `prepare`, which reads the base and the parent.

    `histories` are what every candidate reads of retained users: those of `retained`, then those of neighbours that are
    not among them. `nearest` holds, per subject, places in `histories`.
    """

    base: Base
    parent: Adapter
    subjects: tuple[tuple[int, ...], ...]
    counted: tuple[tuple[bool, ...], ...] | None
    retained: tuple[Split, ...]
    retained_available: int
    histories: tuple[tuple[int, ...], ...]
    nearest: tuple[tuple[int, ...], ...]
    seed: int
    config: EvaluationConfig
    token_budget: int
    base_readings: BaseReadings
    parent_measured: Measured
    parent_evidence: ModelEvidence
    never_seen: tuple[NeverSeen, ...] | None

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
        never_seen: Sequence[NeverSeen] | None = None,
        parent_is_exact: bool = False,
        config: EvaluationConfig | None = None,
        token_budget: int = 8192,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> EvaluationInputs:
        """Read everything that no candidate changes: two forwards over subjects and retained users.

        Args:
            subjects: the subjects' training sequences, in the order of the task's `forget`.
            counted: the task's `forget_targets`; None where all of the subjects' items are forgotten.
            never_seen: each subject's level under a model that never saw them, as
                `unlearning.levels.cross_fitting` finds it; None where nobody fitted any. Levels are of all of a
                subject's items: they do not apply where only some are counted.
            parent_is_exact: the parent is an exact fit, which read the subjects, and no edit of one. Then what it shows
                of them is what tells a member, and not what the fit showed that the levels were made for: both read
                the same events, but one fit remembers a user better than the next.
            retained: the other users' splits; `config.max_retained` of them are drawn with `seed`. The subjects'
                neighbours are looked for among all of them.

        Raises:
            InvalidEvaluation: no subject, a subject without items, fewer than two retained users, or levels that do
                not fit the subjects.
            Interrupted: `should_stop` answered yes.
        """
        config = config or EvaluationConfig()
        if not subjects or not all(len(subject) for subject in subjects):
            raise InvalidEvaluation("there must be at least one subject, and each needs a training item")
        if never_seen is not None and (len(never_seen) != len(subjects) or counted is not None):
            raise InvalidEvaluation(
                "never_seen needs one level per subject, and all of the subjects' items counted"
            )
        sampled = sampled_places(len(retained), config.max_retained, seed)
        if len(sampled) < 2:
            raise InvalidEvaluation("at least two retained users are needed to compare the subjects with")
        sample = tuple(retained[place] for place in sampled)
        frozen = tuple(tuple(subject) for subject in subjects)
        marks = None if counted is None else tuple(tuple(own) for own in counted)
        # Whose single items are forgotten is also retained, and is their own nearest neighbour.
        near = nearest_retained(
            frozen, [split.train for split in retained], config.neighbours if counted is None else 0
        )
        measured_places = (*sampled, *sorted({place for own in near for place in own} - set(sampled)))
        histories = tuple(whole_history(retained[place]) for place in measured_places)
        place_of = {place: index for index, place in enumerate(measured_places)}
        nearest = tuple(tuple(place_of[place] for place in own) for own in near)
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
            for model, others in ((base.model, histories[: len(sample)]), (attach(base, parent), histories))
            for sequences, extra, chosen in ((frozen, 0, marks), (others, HELD_OUT, None))
        ]
        base_subjects, base_retained, parent_subjects, parent_others = readings
        if never_seen is not None and parent_is_exact:
            never_seen = [
                replace(level, seen_smoothed_nll=_smoothed_nll(reading.nll, config, len(base.catalogue)))
                for level, reading in zip(never_seen, parent_subjects, strict=True)
            ]
        base_readings = BaseReadings(
            frozen, marks, sample, base_subjects, base_retained, item_popularity(sample, len(base.catalogue))
        )
        items = sum(len(reading.nll) for reading in parent_subjects)
        measured = Measured(
            subjects=parent_subjects,
            retained=parent_others[: len(sample)],
            neighbours=tuple(parent_others[place] for place in _together(nearest)),
            divergence=Divergence(0.0, 0.0, items),
        )
        return cls(
            base=base,
            parent=parent,
            subjects=frozen,
            counted=marks,
            retained=sample,
            retained_available=len(retained),
            histories=histories,
            nearest=nearest,
            seed=seed,
            config=config,
            token_budget=token_budget,
            base_readings=base_readings,
            parent_measured=measured,
            parent_evidence=base_readings.evidence(measured, config),
            never_seen=None if never_seen is None else tuple(never_seen),
        )

    @property
    def neighbours(self) -> tuple[int, ...]:
        """Everybody who is near one of the subjects, each once: places in `histories`, ascending."""
        return _together(self.nearest)

    def only(self, chosen: Sequence[int]) -> EvaluationInputs:
        """The inputs for these of the subjects, by their places, without reading anything again.

        Raises:
            InvalidEvaluation: nobody is chosen.
        """
        if not chosen:
            raise InvalidEvaluation("there must be at least one subject")
        readings = replace(
            self.base_readings,
            subjects=tuple(self.subjects[place] for place in chosen),
            counted=None if self.counted is None else tuple(self.counted[place] for place in chosen),
            subject_readings=tuple(self.base_readings.subject_readings[place] for place in chosen),
        )
        own = tuple(self.parent_measured.subjects[place] for place in chosen)
        read_before = dict(enumerate(self.parent_measured.retained))
        read_before |= dict(zip(self.neighbours, self.parent_measured.neighbours, strict=True))
        nearest = tuple(self.nearest[place] for place in chosen)
        measured = Measured(
            subjects=own,
            retained=self.parent_measured.retained,
            neighbours=tuple(read_before[place] for place in _together(nearest)),
            divergence=Divergence(0.0, 0.0, sum(len(one.nll) for one in own)),
        )
        return replace(
            self,
            subjects=readings.subjects,
            counted=readings.counted,
            nearest=nearest,
            base_readings=readings,
            parent_measured=measured,
            parent_evidence=readings.evidence(measured, self.config),
            never_seen=None if self.never_seen is None else tuple(self.never_seen[place] for place in chosen),
        )


def whole_history(split: Split) -> tuple[int, ...]:
    """Train, validation and test items in time order."""
    return (*split.train, split.validation, split.test)


def _smoothed_nll(nll: Tensor, config: EvaluationConfig, items: int) -> float:
    return float(smoothed(nll, config.smoothing, items).mean())


def _together(nearest: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(sorted({place for own in nearest for place in own}))


def sampled_places(users: int, most: int | None, seed: int) -> tuple[int, ...]:
    """Places of at most `most` of the users, None for all; the same ones for the same seed, ascending."""
    if most is None or users <= most:
        return tuple(range(users))
    # Keeping the original order makes the sample, and so the report, independent of how sampling shuffles.
    return tuple(sorted(random.Random(seed).sample(range(users), most)))
