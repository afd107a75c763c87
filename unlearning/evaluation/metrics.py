"""The metrics of a report. Pure arithmetic on readings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender import RankingMetrics
from unlearning.evaluation import pointwise
from unlearning.evaluation.reading import Divergence, Reading
from unlearning.evaluation.report import Direction, HeldOutAuc, Metric, PairedOutcome

HELD_OUT = 2


@dataclass(frozen=True)
class Measured:
    """One model's readings of the subjects' training sequences and of the retained users' whole histories.

    A retained reading covers train, validation and test items in that order; its ranks are those of the last
    training items, then of the validation and the test item. `neighbours` are readings of whole histories too, of the
    retained users nearest to the subjects. `divergence` is measured from the parent on the subjects; without subjects
    it covers no position.
    """

    subjects: tuple[Reading, ...]
    retained: tuple[Reading, ...]
    neighbours: tuple[Reading, ...]
    divergence: Divergence

    @property
    def labelled(self) -> bool:
        """Whether events have labels, and no ranks."""
        return any(reading.liked is not None for reading in (*self.subjects, *self.retained))

    @property
    def forget_ranks(self) -> Tensor:
        """Ranks of the subjects' own training tails, int64 [items]."""
        return torch.cat([reading.ranks for reading in self.subjects])

    @property
    def member_ranks(self) -> Tensor:
        """Ranks of the retained users' own training tails, int64 [items]."""
        return torch.cat([reading.ranks[:-HELD_OUT] for reading in self.retained])

    @property
    def validation_ranks(self) -> Tensor:
        """Ranks of the retained users' validation items, int64 [users]."""
        return torch.stack([reading.ranks[-2] for reading in self.retained])

    @property
    def test_ranks(self) -> Tensor:
        """Ranks of the retained users' test items, int64 [users]."""
        return torch.stack([reading.ranks[-1] for reading in self.retained])


def metrics(measured: Measured, parent: Measured, auc: float) -> tuple[Metric, ...]:
    """Every metric of `measured`, in report order; drops are relative to `parent`."""
    nll = torch.cat([reading.nll for reading in measured.subjects]).double()
    forget_nll = float(nll.mean())
    divergence = measured.divergence
    found = [
        Metric("kl", divergence.kl, "descriptive", divergence.positions),
        Metric("prediction_shift", divergence.shifted, "descriptive", divergence.positions),
        Metric("ppl", _perplexity(forget_nll), "descriptive", len(nll)),
        Metric("forget_nll", forget_nll, "reference", len(nll)),
    ]
    if measured.labelled:
        found += [pointwise.auc("forget_auc", measured.subjects, "reference"), *retained_metrics(measured)]
    else:
        found += _ranking("forget", measured.forget_ranks, "reference")
        found += retained_metrics(measured)
        found.append(
            Metric("tradeoff@10", _trade_off(measured, parent), "descriptive", len(measured.subjects))
        )
    return (*found, Metric("membership_auc", auc, "reference", len(nll)))


def retained_metrics(measured: Measured) -> tuple[Metric, ...]:
    """The metrics of the retained users alone, in report order."""
    member_nll = Metric("retained_member_nll", _member_nll(measured), "lower", len(measured.retained))
    if measured.labelled:
        return (member_nll, *_labels(measured))
    return (
        member_nll,
        *_ranking("retained_member", measured.member_ranks, "higher"),
        *_ranking("validation", measured.validation_ranks, "higher"),
        *_ranking("test", measured.test_ranks, "higher"),
    )


def paired_outcomes(parent: Measured, candidate: Measured) -> tuple[PairedOutcome, ...]:
    """The number of retained users with each pair of held-out NDCG@10 values, sorted by value; none with labels."""
    if parent.labelled:
        return ()
    pairs = torch.stack([_held_out_ndcg(parent), _held_out_ndcg(candidate)], dim=1)
    values, counts = torch.unique(pairs, dim=0, return_counts=True)
    return tuple(
        PairedOutcome(float(before), float(after), int(count))
        for (before, after), count in zip(values.tolist(), counts.tolist(), strict=True)
    )


def held_out_auc(parent: Measured, candidate: Measured) -> HeldOutAuc | None:
    """How well both tell the retained users' held-out labels; None for a style that ranks."""
    return pointwise.held_out_auc(parent.retained, candidate.retained, HELD_OUT) if parent.labelled else None


def percent_drop(before: float, after: float) -> float | None:
    """The drop from `before` to `after` in percent of `before`; None if `before` is 0."""
    return 100.0 * (before - after) / before if before > 0 else None


def _perplexity(nll: float) -> float | None:
    """exp(nll); None for a ruined model whose perplexity exceeds the range of a double."""
    try:
        return math.exp(nll)
    except OverflowError:
        return None


def _held_out_ndcg(measured: Measured) -> Tensor:
    held_out = torch.stack([reading.ranks[-HELD_OUT:] for reading in measured.retained])
    ndcg = RankingMetrics(held_out.flatten()).per_user("ndcg@10").reshape(held_out.shape)
    return ndcg.mean(dim=1)


def _trade_off(measured: Measured, parent: Measured) -> float | None:
    """Trade-off@10 of U-CAN: % drop of Recall@10 on the forgotten users minus % drop on the retained users.

    Retained users are measured on held-out test items, because recall of their training items includes memorisation.
    """
    forgotten = percent_drop(_recall(parent.forget_ranks), _recall(measured.forget_ranks))
    kept = percent_drop(_recall(parent.test_ranks), _recall(measured.test_ranks))
    return None if forgotten is None or kept is None else forgotten - kept


def _member_nll(measured: Measured) -> float:
    return float(torch.cat([reading.nll[:-HELD_OUT] for reading in measured.retained]).double().mean())


def _recall(ranks: Tensor) -> float:
    return float(RankingMetrics(ranks).per_user("recall@10").mean())


def _labels(measured: Measured) -> list[Metric]:
    validation = pointwise.latest(measured.retained, -HELD_OUT, -1)
    test = pointwise.latest(measured.retained, -1)
    members = pointwise.latest(measured.retained, 0, -HELD_OUT)
    return [
        pointwise.auc("retained_member_auc", members, "higher"),
        pointwise.auc("validation_auc", validation, "higher"),
        pointwise.log_loss("validation_log_loss", validation, "lower"),
        pointwise.auc("test_auc", test, "higher"),
        pointwise.log_loss("test_log_loss", test, "lower"),
    ]


def _ranking(prefix: str, ranks: Tensor, direction: Direction) -> Sequence[Metric]:
    return [
        Metric(f"{prefix}_{name}", value, direction, len(ranks))
        for name, value in RankingMetrics(ranks).means().items()
    ]
