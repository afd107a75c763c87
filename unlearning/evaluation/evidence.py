"""From readings to membership evidence: every model's gains are taken against the same base readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender import Split
from unlearning.evaluation.config import EvaluationConfig
from unlearning.evaluation.gains import area_under_curve, smoothed
from unlearning.evaluation.matching import Places
from unlearning.evaluation.metrics import HELD_OUT, Measured
from unlearning.evaluation.reading import Reading
from unlearning.evaluation.reference import NonMemberReference, RetainedGains
from unlearning.evaluation.report import MeanGain


@dataclass(frozen=True)
class ModelEvidence:
    """One model's membership figures, gains in nats: one float64 [items] per subject, where its items stand, and
    what a never-member would gain.
    """

    gains: tuple[Tensor, ...]
    places: tuple[Places, ...]
    reference: NonMemberReference

    def mean_gain(self, chosen: Sequence[int]) -> MeanGain:
        """The mean over these subjects of their mean gains, beside a never-member's."""
        gains = [self.gains[subject].mean() for subject in chosen]
        expected = [self.reference.expected(self.places[subject]).mean() for subject in chosen]
        return MeanGain(
            gain=float(torch.stack(gains).mean()),
            expected=float(torch.stack(expected).mean()),
            deviation=self.reference.deviation([len(self.places[subject]) for subject in chosen]),
        )

    def auc(self) -> float:
        """Item by item: how often a subject's item gains more, for its place, than a retained user's held-out one."""
        relative = self.relative_gains(range(len(self.gains)))
        return area_under_curve(torch.cat(relative), self.reference.residuals)

    def relative_gains(self, chosen: Sequence[int]) -> list[Tensor]:
        """These subjects' gains less what a never-member would gain at each item's place, float64 [items] each."""
        return [self.gains[subject] - self.reference.expected(self.places[subject]) for subject in chosen]


@dataclass(frozen=True)
class BaseReadings:
    """The users to measure and what the bare base makes of them.

    `popularity` int64 [catalogue] counts the measured retained users who met an item in training.
    """

    subjects: tuple[tuple[int, ...], ...]
    counted: tuple[tuple[bool, ...], ...] | None
    retained: tuple[Split, ...]
    subject_readings: tuple[Reading, ...]
    retained_readings: tuple[Reading, ...]
    popularity: Tensor

    def evidence(self, measured: Measured, config: EvaluationConfig) -> ModelEvidence:
        """Membership figures of one model from what it makes of the same users."""
        subject_gains = self.subject_gains(measured.subjects, config)
        retained_gains = self._gains(self.retained_readings, measured.retained, config)
        held_out = [
            self._places((split.validation, split.test), start=len(split.train)) for split in self.retained
        ]
        reference = NonMemberReference.fit(
            RetainedGains(
                held_out=torch.stack([own[-HELD_OUT:] for own in retained_gains]),
                held_out_places=Places(
                    torch.cat([places.positions for places in held_out]),
                    torch.cat([places.popularity for places in held_out]),
                ),
                members=[own[:-HELD_OUT] for own in retained_gains],
                member_places=[self._places(split.train) for split in self.retained],
            ),
            config.bins,
        )
        places = tuple(self._places(subject) for subject in self.subjects)
        if self.counted is not None:
            places = tuple(place.chosen(marks) for place, marks in zip(places, self.counted, strict=True))
        return ModelEvidence(subject_gains, places, reference)

    def subject_gains(self, readings: Sequence[Reading], config: EvaluationConfig) -> tuple[Tensor, ...]:
        """The subjects' gains in nats, float64 [items] each, from what a model makes of them."""
        return self._gains(self.subject_readings, readings, config)

    def _places(self, items: Sequence[int], start: int = 0) -> Places:
        chosen = torch.tensor(items, dtype=torch.int64)
        return Places(torch.arange(start, start + len(items)), self.popularity[chosen])

    def _gains(
        self, before: Sequence[Reading], after: Sequence[Reading], config: EvaluationConfig
    ) -> tuple[Tensor, ...]:
        items = len(self.popularity)
        return tuple(
            smoothed(base.nll, config.smoothing, items) - smoothed(model.nll, config.smoothing, items)
            for base, model in zip(before, after, strict=True)
        )


def item_popularity(retained: Sequence[Split], items: int) -> Tensor:
    """How many of these users met each item in training, int64 [items]."""
    met = torch.tensor([item for split in retained for item in set(split.train)], dtype=torch.int64)
    return torch.bincount(met, minlength=items)
