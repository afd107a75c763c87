"""The events an adapter version was trained on, split into subjects and retained users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recommender import Catalogue, Split, leave_two_out

MINIMUM_EVENTS = 3


@dataclass(frozen=True)
class TrainingData:
    """Histories as item indices.

    ``subjects`` maps each subject with something to unlearn to its training sequence; ``retained`` holds everyone
    who has not asked to be forgotten.
    """

    subjects: Mapping[str, tuple[int, ...]]
    retained: tuple[Split, ...]

    @property
    def forget(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self.subjects.values())

    @property
    def retain(self) -> tuple[tuple[int, ...], ...]:
        return tuple(split.train for split in self.retained)


def split_training_data(
    histories: Mapping[str, Sequence[str]],
    catalogue: Catalogue,
    subjects: Sequence[str],
    suppressed: set[str],
) -> TrainingData:
    """Training sequences by leave-two-out; whoever is suppressed but not a subject is in neither half.

    Such a person waits for another run (and is then unlearned by it) or was erased before: training on them or
    measuring with them would be wrong either way (invariant I10). Users with fewer than three events in the
    catalogue were never trained on.
    """
    encoded: dict[str, list[int]] = {}
    for subject, items in histories.items():
        # Once per item, at its first occurrence: next-item prediction never asks for what was seen.
        known = list(dict.fromkeys(index for item in items if (index := catalogue.index(item)) is not None))
        if len(known) >= MINIMUM_EVENTS:
            encoded[subject] = known
    return TrainingData(
        subjects={
            subject: leave_two_out(encoded[subject]).train for subject in subjects if subject in encoded
        },
        retained=tuple(
            leave_two_out(items) for subject, items in sorted(encoded.items()) if subject not in suppressed
        ),
    )
