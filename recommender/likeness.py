"""Compares a re-fit with an operator's adapter: do they agree, and does that adapter know its users at all?

Every comparison is paired: all models read each user, and the differences are averaged over users.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recommender.errors import DataError
from recommender.pointwise import area_under_curve, log_odds
from recommender.ranking import ndcg_at, recall_at
from recommender.scoring import Scorer
from recommender.splits import Split
from recommender.styles.style import PromptStyle

# Shares of the adapter's gain over the bare base. Fits that differ only in their seed are within 0.02 (300 users and
# more) to 0.07 (63 users) of each other on training events, and within 0.11 on held-out events. Fits with half the
# epochs, half the learning rate or a quarter of the rank differ by 0.12 to 0.47 on training events
# (docs/how-to/own-adapter.md).
TRAINING_MARGIN = 0.1
HELD_OUT_MARGIN = 0.2
# If an adapter gains little on held-out events, this share of its gain on training events is the unit instead.
_LEAST_YARDSTICK = 0.25
_ERRORS = 2
# An adapter for another base of the same shape loses half a nat per event; an adapter that fits gains nats.
_CLEAR_ERRORS = 3


@dataclass(frozen=True)
class Measured:
    """One model's reading of the users.

    `training_nll` and `held_out_nll` float64 `[users]` are mean NLL (nats) per training event and over the last two
    events; `ranks` int64 `[users]` are ranks of the last event, None for a style with labels. There `auc` is the area
    under the curve of all held-out events, None if they all have one label.
    """

    training_nll: Tensor
    held_out_nll: Tensor
    ranks: Tensor | None
    auc: float | None = None

    def figures(self) -> "Figures":
        """Means over users."""
        ranks = self.ranks
        return Figures(
            training_nll=float(self.training_nll.mean()),
            held_out_nll=float(self.held_out_nll.mean()),
            recall_at_10=None if ranks is None else float(recall_at(ranks, 10).mean()),
            ndcg_at_10=None if ranks is None else float(ndcg_at(ranks, 10).mean()),
            auc=self.auc,
        )


@dataclass(frozen=True)
class Figures:
    """One model on all users: mean NLL in nats, and mean ranking of the last event, or `auc` of the held-out ones."""

    training_nll: float
    held_out_nll: float
    recall_at_10: float | None
    ndcg_at_10: float | None
    auc: float | None = None

    def to_plain(self) -> dict[str, float]:
        """The JSON form: what was measured."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Difference:
    """A mean of paired differences, its standard error over users (0 for a single user), and the allowed difference."""

    mean: float
    error: float
    allowed: float = 0.0

    @property
    def clear_gain(self) -> bool:
        """Whether the mean is positive beyond what the sampling of users explains."""
        return self.mean > 0 and self.mean >= _CLEAR_ERRORS * self.error


@dataclass(frozen=True)
class Likeness:
    """An operator's adapter, a re-fit by its recipe and the bare base, on the same users.

    `training` and `held_out` are the re-fit's NLL minus the operator's. A re-fit is near if it remembers its users
    equally well, neither more nor less, and predicts their held-out events no worse.
    """

    users: int
    base: Figures
    operator: Figures
    refit: Figures
    training: Difference
    held_out: Difference

    @property
    def near(self) -> bool:
        """Whether the re-fit is near, within the margins."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the re-fit is not near, one clause per reason."""
        found = []
        if abs(self.training.mean) > self.training.allowed:
            more = "less" if self.training.mean > 0 else "more"
            found.append(f"it remembers {more} of them ({_against(self.training, '±')})")
        if self.held_out.mean > self.held_out.allowed:
            found.append(f"it predicts their last events worse ({_against(self.held_out, '+')})")
        return tuple(found)

    def to_plain(self) -> dict[str, Any]:
        """The JSON form, with the verdict; it holds figures over all users only."""
        three = {name: getattr(self, name).to_plain() for name in ("base", "operator", "refit")}
        return {**asdict(self), **three, "near": self.near}


def measure(model: nn.Module, style: PromptStyle, users: Sequence[Split]) -> Measured:
    """Read every user.

    Raises:
        DataError: no user has a training event that the style predicts.
    """
    users = [user for user in users if len(user.train) > style.first_target]
    if not users:
        raise DataError("nothing to compare models on: there must be users with training events")
    scorer = Scorer(model, style)
    whole = [[*user.train, user.validation, user.test] for user in users]
    held_out = [nll[-2:] for nll in scorer.item_nll(whole)]
    labelled = style.ranked_by == "labels"
    return Measured(
        training_nll=_means(scorer.item_nll([user.train for user in users])),
        held_out_nll=_means(held_out),
        ranks=None if labelled else scorer.last_ranks(whole),
        auc=_auc(style, [own[-2:] for own in whole], held_out) if labelled else None,
    )


def _auc(style: PromptStyle, events: Sequence[Sequence[int]], losses: Sequence[Tensor]) -> float | None:
    liked = torch.tensor([bool(style.liked(event)) for own in events for event in own])
    if bool(liked.all()) or not bool(liked.any()):
        return None
    odds = log_odds(torch.cat(list(losses)), liked)
    return area_under_curve(odds[liked], odds[~liked])


def gain(base: Measured, adapted: Measured) -> Difference:
    """How much better an adapter predicts the training events than the bare base, in nats."""
    return _difference(base.training_nll - adapted.training_nll)


def compare(base: Measured, operator: Measured, refit: Measured) -> Likeness:
    """Compare the three models' readings of the same users."""
    training = _difference(refit.training_nll - operator.training_nll)
    held_out = _difference(refit.held_out_nll - operator.held_out_nll)
    remembered = max(0.0, gain(base, operator).mean)
    learnt = max(float((base.held_out_nll - operator.held_out_nll).mean()), _LEAST_YARDSTICK * remembered)
    return Likeness(
        users=len(base.training_nll),
        base=base.figures(),
        operator=operator.figures(),
        refit=refit.figures(),
        training=_within(training, TRAINING_MARGIN * remembered),
        held_out=_within(held_out, HELD_OUT_MARGIN * learnt),
    )


def _within(difference: Difference, margin: float) -> Difference:
    return Difference(difference.mean, difference.error, margin + _ERRORS * difference.error)


def _difference(values: Tensor) -> Difference:
    count = len(values)
    return Difference(float(values.mean()), float(values.std()) / math.sqrt(count) if count > 1 else 0.0)


def _means(values: Sequence[Tensor]) -> Tensor:
    return torch.stack([value.double().mean() for value in values])


def _against(difference: Difference, sign: str) -> str:
    return f"{difference.mean:+.2f} nats per event, allowed {sign}{difference.allowed:.2f}"
