"""Membership evidence from readings. Every model's gains are relative to the same base readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender import Split
from recommender.pointwise import area_under_curve
from unlearning.evaluation.config import EvaluationConfig
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.matching import Covariates
from unlearning.evaluation.metrics import HELD_OUT, Measured
from unlearning.evaluation.reading import Reading
from unlearning.evaluation.reference import NonMemberReference, RetainedGains
from unlearning.evaluation.report import MeanGain


@dataclass(frozen=True)
class ModelEvidence:
    """One model's membership evidence.

    `gains` holds one float64 [items] per subject, in nats, `covariates` the positions and popularity of these items,
    and `reference` the gains that a never-member would show.
    """

    gains: tuple[Tensor, ...]
    covariates: tuple[Covariates, ...]
    reference: NonMemberReference

    def mean_gain(self, chosen: Sequence[int]) -> MeanGain:
        """The mean over these subjects of their mean gains, with a never-member's expectation and deviation."""
        gains = [self.gains[subject].mean() for subject in chosen]
        expected = [self.reference.expected(self.covariates[subject]).mean() for subject in chosen]
        return MeanGain(
            gain=float(torch.stack(gains).mean()),
            expected=float(torch.stack(expected).mean()),
            deviation=self.reference.deviation([len(self.covariates[subject]) for subject in chosen]),
        )

    def auc(self) -> float:
        """Probability that a subject's item has a higher relative gain than a retained user's held-out item."""
        relative = self.relative_gains(range(len(self.gains)))
        return area_under_curve(torch.cat(relative), self.reference.residuals)

    def relative_gains(self, chosen: Sequence[int]) -> list[Tensor]:
        """These subjects' gains minus a never-member's expected gain for each item, float64 [items] each."""
        return [self.gains[subject] - self.reference.expected(self.covariates[subject]) for subject in chosen]


@dataclass(frozen=True)
class BaseReadings:
    """The users to measure, and the bare base's readings of them.

    `popularity` int64 [event kinds] counts the measured retained users who had an event in training: met an item or,
    where events have labels, liked or disliked it. `first_target` and
    `event_options` are the style's: readings lack a sequence's first events, and losses are smoothed by the options.
    """

    subjects: tuple[tuple[int, ...], ...]
    counted: tuple[tuple[bool, ...], ...] | None
    retained: tuple[Split, ...]
    subject_readings: tuple[Reading, ...]
    retained_readings: tuple[Reading, ...]
    popularity: Tensor
    first_target: int
    event_options: int

    def evidence(self, measured: Measured, config: EvaluationConfig) -> ModelEvidence:
        """Membership evidence of one model from its readings of the same users."""
        subject_gains = self.subject_gains(measured.subjects, config)
        retained_gains = self._gains(self.retained_readings, measured.retained, config)
        held_out = [
            self._covariates((*split.train, split.validation, split.test), start=len(split.train))
            for split in self.retained
        ]
        reference = NonMemberReference.fit(
            RetainedGains(
                held_out=torch.stack([own[-HELD_OUT:] for own in retained_gains]),
                held_out_covariates=Covariates(
                    torch.cat([covariates.positions for covariates in held_out]),
                    torch.cat([covariates.popularity for covariates in held_out]),
                ),
                members=[own[:-HELD_OUT] for own in retained_gains],
                member_covariates=[self._covariates(split.train) for split in self.retained],
            ),
            config.bins,
        )
        covariates = tuple(self._covariates(subject) for subject in self.subjects)
        if self.counted is not None:
            covariates = tuple(
                own.chosen(marks[self.first_target :])
                for own, marks in zip(covariates, self.counted, strict=True)
            )
        return ModelEvidence(subject_gains, covariates, reference)

    def subject_gains(self, readings: Sequence[Reading], config: EvaluationConfig) -> tuple[Tensor, ...]:
        """The subjects' gains in nats, float64 [items] each, from a model's readings of them."""
        return self._gains(self.subject_readings, readings, config)

    def _covariates(self, items: Sequence[int], start: int | None = None) -> Covariates:
        """Of a sequence's items from position `start` on; by default, of all that the style predicts."""
        start = self.first_target if start is None else start
        chosen = torch.tensor(items[start:], dtype=torch.int64)
        return Covariates(torch.arange(start, len(items)), self.popularity[chosen])

    def _gains(
        self, before: Sequence[Reading], after: Sequence[Reading], config: EvaluationConfig
    ) -> tuple[Tensor, ...]:
        options = self.event_options
        return tuple(
            smoothed(base.nll, config.smoothing, options) - smoothed(model.nll, config.smoothing, options)
            for base, model in zip(before, after, strict=True)
        )


def item_popularity(retained: Sequence[Split], items: int) -> Tensor:
    """How many of these users had each event in training, int64 [items]: an item, or what one thought of it."""
    met = torch.tensor([item for split in retained for item in set(split.train)], dtype=torch.int64)
    return torch.bincount(met, minlength=items)
