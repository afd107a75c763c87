"""The events an adapter version was trained on, split into subjects and retained users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from recommender import Split, leave_two_out

# Two events are held out and one is learnt.
MINIMUM_EVENTS = 3
# With fewer retained users there is nobody to compare with, so no method and no fit makes sense.
MINIMUM_RETAINED = 2


@dataclass(frozen=True)
class TrainingData:
    """Histories as the prompt style's events, for most styles item indices.

    Attributes:
        subjects: each subject of the run who has something to unlearn.
        retained_subjects: the ids of the retained users, in the order of ``retained``.
        retained: the retained users.
        waiting: suppressed users whose events are still stored and whom this run does not serve.
    """

    subjects: Mapping[str, Split]
    retained_subjects: tuple[str, ...]
    retained: tuple[Split, ...]
    waiting: Mapping[str, Split]

    @property
    def everyone(self) -> dict[str, Split]:
        """Subjects, retained and waiting users, in the order of their ids."""
        retained = dict(zip(self.retained_subjects, self.retained, strict=True))
        return dict(sorted({**self.subjects, **self.waiting, **retained}.items()))

    def only(self, subjects: Sequence[str]) -> TrainingData:
        """The same data with these subjects only; the other subjects become ``waiting``."""
        chosen = set(subjects)
        others = {subject: split for subject, split in self.subjects.items() if subject not in chosen}
        return replace(
            self,
            subjects={subject: split for subject, split in self.subjects.items() if subject in chosen},
            waiting={**self.waiting, **others},
        )

    @property
    def forget(self) -> tuple[tuple[int, ...], ...]:
        return tuple(split.train for split in self.subjects.values())

    @property
    def retain(self) -> tuple[tuple[int, ...], ...]:
        return tuple(split.train for split in self.retained)


def minimum_events(first_target: int) -> int:
    """How many events a user needs to be in a fit. The first ones, which the style does not predict, are not learnt."""
    return MINIMUM_EVENTS + first_target


def split_training_data(
    histories: Mapping[str, Sequence[int]],
    subjects: Sequence[str],
    suppressed: set[str],
    *,
    first_target: int = 0,
) -> TrainingData:
    """Split each history by leave-two-out. Users who are suppressed but no subjects of the run go to ``waiting``.

    Another run unlearns them later. Until then, nothing may train on them or measure with them (invariant I10).
    Users with fewer events than `minimum_events` are left out: no fit of ours reads them.

    Args:
        histories: what `worker.stored_events` found.
        first_target: the style's number of first events that it never predicts.
    """
    least = minimum_events(first_target)
    encoded = {subject: events for subject, events in histories.items() if len(events) >= least}
    chosen = set(subjects)
    retained = sorted(subject for subject in encoded if subject not in suppressed)
    return TrainingData(
        subjects={subject: leave_two_out(encoded[subject]) for subject in subjects if subject in encoded},
        waiting={
            subject: leave_two_out(items)
            for subject, items in sorted(encoded.items())
            if subject in suppressed and subject not in chosen
        },
        retained_subjects=tuple(retained),
        retained=tuple(leave_two_out(encoded[subject]) for subject in retained),
    )
