"""The inputs of an evaluation, read once under the base and the parent and reused for every candidate."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Unpack

from peft import PeftModel
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
from unlearning.progress import Watched


@dataclass(frozen=True)
class EvaluationInputs:
    """Inputs of `evaluate`; make them with `prepare`, which reads the users under the base and the parent.

    `histories` are the retained users' histories that every candidate reads: those of `retained`, then those of
    neighbours who are not among them. `nearest` holds, per subject, indices in `histories`. `parent_model` is the base
    with the parent attached.
    """

    base: Base
    parent: Adapter
    parent_model: PeftModel
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
        **watched: Unpack[Watched],
    ) -> EvaluationInputs:
        """Read what is the same for every candidate: two forwards over subjects and retained users.

        Args:
            subjects: the subjects' training sequences, in the order of the task's `forget`.
            counted: the task's `forget_targets`; None where all of the subjects' items are forgotten.
            never_seen: each subject's level from `unlearning.levels.cross_fitting`; None if no levels were made. A
                level is for all of a subject's items, so it does not apply where only some are counted.
            parent_is_exact: whether the parent is an exact fit that read the subjects, and not an edit of one. If so,
                the subjects' losses under the parent replace the losses of a member that came with the levels: both
                fits read the same events, but they remember each user differently well.
            retained: the other users' splits; `config.max_retained` of them are drawn with `seed`. The subjects'
                neighbours are searched among all of them.

        Raises:
            InvalidEvaluation: no subject, a subject without items, fewer than two retained users, or levels that do
                not fit the subjects.
            Interrupted: `should_stop` answered yes.
        """
        config = config or EvaluationConfig()
        first = base.style.first_target
        if not subjects or not all(len(subject) > first for subject in subjects):
            raise InvalidEvaluation(
                "there must be at least one subject, and each needs a predicted training item"
            )
        if never_seen is not None and (len(never_seen) != len(subjects) or counted is not None):
            raise InvalidEvaluation(
                "never_seen needs one level per subject, and all of the subjects' items counted"
            )
        # Who has no training item that the style predicts shows no memory to compare with.
        retained = [split for split in retained if len(split.train) > first]
        sampled = sampled_indices(len(retained), config.max_retained, seed)
        if len(sampled) < 2:
            raise InvalidEvaluation("at least two retained users are needed to compare the subjects with")
        sample = tuple(retained[user] for user in sampled)
        frozen = tuple(tuple(subject) for subject in subjects)
        marks = None if counted is None else tuple(tuple(own) for own in counted)
        # A subject who forgets single items is also retained, and would be their own nearest neighbour.
        near = nearest_retained(
            frozen, [split.train for split in retained], config.neighbours if counted is None else 0
        )
        chosen_users = (*sampled, *sorted({user for own in near for user in own} - set(sampled)))
        histories = tuple(whole_history(retained[user]) for user in chosen_users)
        position_of = {user: position for position, user in enumerate(chosen_users)}
        nearest = tuple(tuple(position_of[user] for user in own) for own in near)
        parent_model = attach(base, parent)
        readings = [
            read(
                model,
                base.style,
                sequences,
                ranked=config.tail_items + extra,
                counted=chosen,
                token_budget=token_budget,
                **watched,
            )
            for model, others in ((base.model, histories[: len(sample)]), (parent_model, histories))
            for sequences, extra, chosen in ((frozen, 0, marks), (others, HELD_OUT, None))
        ]
        base_subjects, base_retained, parent_subjects, parent_others = readings
        if never_seen is not None and parent_is_exact:
            never_seen = [
                replace(level, seen_smoothed_nll=_smoothed_nll(reading.nll, config, base.style.event_options))
                for level, reading in zip(never_seen, parent_subjects, strict=True)
            ]
        base_readings = BaseReadings(
            frozen,
            marks,
            sample,
            base_subjects,
            base_retained,
            item_popularity(sample, base.style.event_kinds),
            base.style.first_target,
            base.style.event_options,
        )
        items = sum(len(reading.nll) for reading in parent_subjects)
        measured = Measured(
            subjects=parent_subjects,
            retained=parent_others[: len(sample)],
            neighbours=tuple(parent_others[index] for index in _together(nearest)),
            divergence=Divergence(0.0, 0.0, items),
        )
        return cls(
            base=base,
            parent=parent,
            parent_model=parent_model,
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
        """The users near at least one subject, each once: indices in `histories`, ascending."""
        return _together(self.nearest)

    def only(self, chosen: Sequence[int]) -> EvaluationInputs:
        """The inputs for the subjects with these indices, without reading anything again.

        Raises:
            InvalidEvaluation: no subject is chosen.
        """
        if not chosen:
            raise InvalidEvaluation("there must be at least one subject")
        readings = replace(
            self.base_readings,
            subjects=tuple(self.subjects[index] for index in chosen),
            counted=None if self.counted is None else tuple(self.counted[index] for index in chosen),
            subject_readings=tuple(self.base_readings.subject_readings[index] for index in chosen),
        )
        own = tuple(self.parent_measured.subjects[index] for index in chosen)
        read_before = dict(enumerate(self.parent_measured.retained))
        read_before |= dict(zip(self.neighbours, self.parent_measured.neighbours, strict=True))
        nearest = tuple(self.nearest[index] for index in chosen)
        measured = Measured(
            subjects=own,
            retained=self.parent_measured.retained,
            neighbours=tuple(read_before[index] for index in _together(nearest)),
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
            never_seen=None if self.never_seen is None else tuple(self.never_seen[index] for index in chosen),
        )


def whole_history(split: Split) -> tuple[int, ...]:
    """Train, validation and test items in time order."""
    return (*split.train, split.validation, split.test)


def _smoothed_nll(nll: Tensor, config: EvaluationConfig, options: int) -> float:
    return float(smoothed(nll, config.smoothing, options).mean())


def _together(nearest: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(sorted({index for own in nearest for index in own}))


def sampled_indices(users: int, most: int | None, seed: int) -> tuple[int, ...]:
    """Indices of at most `most` of the users, ascending; None for all. The same seed draws the same users."""
    if most is None or users <= most:
        return tuple(range(users))
    # Ascending order keeps the report independent of the order in which users are drawn.
    return tuple(sorted(random.Random(seed).sample(range(users), most)))
