"""The distance of a candidate from an ensemble of re-fits that never saw the subjects.

Read every figure beside the same figure of one re-fit against the others: two exact re-fits with different seeds
differ too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender import Adapter, Base, PromptStyle
from recommender.choices import IGNORED
from unlearning.attacks.predictions import check_likelihoods, marks_of
from unlearning.errors import InvalidEvaluation
from unlearning.methods.shared.descent import ChoiceModel
from unlearning.methods.shared.windows import Windows, marked_windows
from unlearning.progress import ShouldStop, check_stop


@dataclass(frozen=True)
class NllGap:
    """Per user, float64 [users], in nats: the candidate's NLL against the mean NLL of the re-fits.

    `absolute` is the mean absolute difference over a user's items, `signed` the mean difference. `signed` is above 0
    where the candidate predicts the user worse than the re-fits (over-forgotten), and below 0 where it still remembers.
    """

    absolute: Tensor
    signed: Tensor


@dataclass(frozen=True)
class MixtureDivergence:
    """Jensen-Shannon divergence from the ensemble's mean distribution, in nats, 0 to ln 2.

    `mean` is the mean over all `positions`, `users` (float64 [users]) the mean over each user's positions.
    """

    mean: float
    users: Tensor
    positions: int


def nll_gap(candidate: Sequence[Tensor], refits: Sequence[Sequence[Tensor]]) -> NllGap:
    """The gap between `candidate` and `refits`, each a group of log-probabilities of the same users and items.

    Raises:
        InvalidEvaluation: no re-fit, or see `check_likelihoods`.
    """
    if not refits:
        raise InvalidEvaluation("there is no re-fit to compare the candidate with")
    check_likelihoods(candidate, *refits)
    # NLL of the candidate minus that of the re-fits, on log-probabilities.
    gaps = [
        torch.stack([user.double() for user in others]).mean(0) - own.double()
        for own, *others in zip(candidate, *refits, strict=True)
    ]
    return NllGap(
        absolute=torch.stack([gap.abs().mean() for gap in gaps]),
        signed=torch.stack([gap.mean() for gap in gaps]),
    )


def mixture_divergence(
    base: Base,
    candidate: Adapter,
    refits: Sequence[Adapter],
    sequences: Sequence[Sequence[int]],
    targets: Sequence[Sequence[bool]] | None = None,
    *,
    batch_size: int = 16,
    should_stop: ShouldStop | None = None,
) -> MixtureDivergence:
    """Mean over the marked positions of JSD(candidate, mean of the re-fits' next-item distributions).

    JSD(p, q) = KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2. All models read the same batch before the next
    one, so that no catalogue-wide distribution is kept longer than its batch.

    Args:
        targets: which items of each sequence are compared; None for all.
        batch_size: most windows in a batch.

    Raises:
        InvalidEvaluation: no re-fit, or see `marks_of`.
        Interrupted: `should_stop` answered yes.
    """
    if not refits:
        raise InvalidEvaluation("there is no re-fit to compare the candidate with")
    marks = marks_of(sequences, targets)
    windows = Windows(base.style, sequences, marks, batch_size=batch_size, seed=0)
    models = [ChoiceModel(base, adapter) for adapter in (candidate, *refits)]
    found = []
    for own, *others in _distributions(models, windows, should_stop):
        found.append(jensen_shannon(own, torch.stack(others).mean(0)))
    positions = torch.cat(found)
    per_user = torch.split(
        positions,
        [_choices(base.style, sequence, own) for sequence, own in zip(sequences, marks, strict=True)],
    )
    return MixtureDivergence(
        float(positions.mean()), torch.stack([own.mean() for own in per_user]), len(positions)
    )


def _choices(style: PromptStyle, sequence: Sequence[int], marks: Sequence[bool]) -> int:
    """Number of choices that the marked items of a sequence take."""
    windows = marked_windows(style, [sequence], [marks])
    return sum(target != IGNORED for _, targets in windows for target in targets)


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """JSD in nats between distributions [..., items] along the last dimension; a probability of 0 is allowed."""
    middle = (first + second) / 2
    halves: list[Tensor] = [torch.xlogy(one, one) - torch.xlogy(one, middle) for one in (first, second)]
    # Rounding can leave the divergence of a distribution from itself slightly below 0.
    return ((halves[0] + halves[1]).sum(-1) / 2).clamp(min=0.0)


def _distributions(
    models: Sequence[ChoiceModel], windows: Windows, should_stop: ShouldStop | None
) -> Iterator[list[Tensor]]:
    """Per batch one float64 [marked positions, items] tensor per model; positions in the order of the sequences."""
    for batch in windows.once():
        check_stop(should_stop)
        counted = batch.targets != IGNORED
        yield [torch.softmax(model.logits(batch).cpu()[counted].double(), dim=-1) for model in models]
