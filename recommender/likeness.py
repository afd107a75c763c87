"""Whether a re-fit comes near an adapter that somebody else trained, and whether that adapter knows its users at all.

Every comparison is paired over users: each is read by all models, and differences are averaged.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recommender.errors import DataError
from recommender.prompts import PromptStyle
from recommender.ranking import ndcg_at, ranks, recall_at
from recommender.scoring import Scorer
from recommender.splits import Split

# Shares of what the adapter adds over the bare base. Fits that differ in nothing but their seed lie within 0.02 (300
# users and more) to 0.07 (63 users) on training events and 0.11 on held-out ones; half the epochs, half the learning
# rate or a quarter of the rank 0.12 to 0.47 away on training events (docs/how-to/own-adapter.md).
TRAINING_MARGIN = 0.1
HELD_OUT_MARGIN = 0.2
# Where an adapter adds nothing to what its users do next, its memory of them is the yardstick.
_LEAST_YARDSTICK = 0.25
_ERRORS = 2
# An adapter of another base of the same shape costs half a nat per event there; its own users gain nats.
_CLEAR_ERRORS = 3


@dataclass(frozen=True)
class Measured:
    """One model's reading of the same users: float64 `[users]` mean NLL (nats) per training event and over the last
    two events, and int64 `[users]` ranks of the last event.
    """

    training_nll: Tensor
    held_out_nll: Tensor
    ranks: Tensor

    def figures(self) -> "Figures":
        """Means over users."""
        return Figures(
            training_nll=float(self.training_nll.mean()),
            held_out_nll=float(self.held_out_nll.mean()),
            recall_at_10=float(recall_at(self.ranks, 10).mean()),
            ndcg_at_10=float(ndcg_at(self.ranks, 10).mean()),
        )


@dataclass(frozen=True)
class Figures:
    """One model on all users: mean NLL in nats, mean ranking of the last event."""

    training_nll: float
    held_out_nll: float
    recall_at_10: float
    ndcg_at_10: float


@dataclass(frozen=True)
class Difference:
    """A mean of paired differences, its standard error over users (0 for a single one), and how much is allowed."""

    mean: float
    error: float
    allowed: float = 0.0

    @property
    def clear_gain(self) -> bool:
        """Whether the mean is positive beyond what the draw of users explains."""
        return self.mean > 0 and self.mean >= _CLEAR_ERRORS * self.error


@dataclass(frozen=True)
class Likeness:
    """An operator's adapter, a re-fit by its recipe and the bare base, on the same users.

    `training` and `held_out` are the re-fit's NLL less the operator's. A re-fit is near if it remembers its users as
    well, neither more nor less, and predicts what they did next no worse.
    """

    users: int
    base: Figures
    operator: Figures
    refit: Figures
    training: Difference
    held_out: Difference

    @property
    def near(self) -> bool:
        """The rule above, within the margins."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """What does not come near, one clause each."""
        found = []
        if abs(self.training.mean) > self.training.allowed:
            more = "less" if self.training.mean > 0 else "more"
            found.append(f"it remembers {more} of them ({_against(self.training, '±')})")
        if self.held_out.mean > self.held_out.allowed:
            found.append(f"it predicts their last events worse ({_against(self.held_out, '+')})")
        return tuple(found)

    def to_plain(self) -> dict[str, Any]:
        """The JSON form, verdict included; figures over all users and nothing of any one."""
        return {**asdict(self), "near": self.near}


def measure(model: nn.Module, style: PromptStyle, users: Sequence[Split]) -> Measured:
    """Read every user.

    Raises:
        DataError: no user, or one without a training event.
    """
    if not users or not all(user.train for user in users):
        raise DataError("nothing to compare models on: there must be users, each with training events")
    scorer = Scorer(model, style)
    whole = [[*user.train, user.validation, user.test] for user in users]
    scores = scorer.scores([history[:-1] for history in whole])
    return Measured(
        training_nll=_means(scorer.item_nll([user.train for user in users])),
        held_out_nll=_means([nll[-2:] for nll in scorer.item_nll(whole)]),
        ranks=ranks(scores, torch.tensor([user.test for user in users])),
    )


def gain(base: Measured, adapted: Measured) -> Difference:
    """How much better than the bare base an adapter predicts the training events, in nats."""
    return _difference(base.training_nll - adapted.training_nll)


def compare(base: Measured, operator: Measured, refit: Measured) -> Likeness:
    """Compare the three on the users they all read."""
    training = _difference(refit.training_nll - operator.training_nll)
    held_out = _difference(refit.held_out_nll - operator.held_out_nll)
    remembered = max(0.0, gain(base, operator).mean)
    learnt = max(float((base.held_out_nll - operator.held_out_nll).mean()), _LEAST_YARDSTICK * remembered)
    return Likeness(
        users=len(base.ranks),
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
