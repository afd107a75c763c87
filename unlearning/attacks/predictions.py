"""Log-probabilities of marked items: the input of every attack and every distance.

In all of `unlearning.attacks` a group of users is a sequence of tensors, one per user. Each tensor holds the natural
logarithms of the probabilities of that user's items. Negative log-likelihoods are not accepted: positive numbers are
refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from recommender import Adapter, Base, attach
from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.reading import read
from unlearning.progress import Watched

Marks = tuple[tuple[bool, ...], ...]


def item_log_likelihoods(
    base: Base,
    adapter: Adapter | None,
    sequences: Sequence[Sequence[int]],
    targets: Sequence[Sequence[bool]] | None = None,
    *,
    token_budget: int = 8192,
    **watched: Unpack[Watched],
) -> tuple[Tensor, ...]:
    """Log-probability of every marked item given those before it, float32 [marked items] per sequence, in nats.

    Items before the style's `first_target` have none.

    Args:
        adapter: the adapter under attack; None for the bare base.
        targets: which items of each sequence are measured; None for all. The others are context.
        token_budget: most tokens, padding included, in one forward.

    Raises:
        InvalidEvaluation: see `marks_of`.
        Interrupted: `should_stop` answered yes.
    """
    marks = marks_of(sequences, targets)
    model = base.model if adapter is None else attach(base, adapter)
    readings = read(
        model,
        base.style,
        sequences,
        ranked=0,
        token_budget=token_budget,
        **watched,
    )
    first = base.style.first_target
    return tuple(
        -reading.nll[torch.tensor(own[first:], dtype=torch.bool)]
        for reading, own in zip(readings, marks, strict=True)
    )


def marks_of(sequences: Sequence[Sequence[int]], targets: Sequence[Sequence[bool]] | None) -> Marks:
    """`targets` as tuples; where it is None, every item is marked.

    Raises:
        InvalidEvaluation: no sequence, marks that do not fit the sequences, or a sequence without a marked item.
    """
    marks: Marks = (
        tuple((True,) * len(sequence) for sequence in sequences)
        if targets is None
        else tuple(tuple(own) for own in targets)
    )
    if not sequences or [len(own) for own in marks] != [len(sequence) for sequence in sequences]:
        raise InvalidEvaluation("targets must mark each item of each sequence, and there must be a sequence")
    if not all(any(own) for own in marks):
        raise InvalidEvaluation("every sequence needs a marked item: leave users without one out")
    return marks


def check_likelihoods(*groups: Sequence[Tensor]) -> None:
    """Refuse groups that are not of the same users with the same numbers of items.

    Raises:
        InvalidEvaluation: a group or a user is empty, the groups differ in shape, or a number is not a log-probability.
    """
    shapes = [[tuple(user.shape) for user in group] for group in groups]
    if not shapes or not all(shapes) or any(shape != shapes[0] for shape in shapes):
        raise InvalidEvaluation("the groups must hold the same users, at least one, item by item")
    for user in (user for group in groups for user in group):
        if user.ndim != 1 or not len(user) or not bool((torch.isfinite(user) & (user <= 0)).all()):
            raise InvalidEvaluation(
                "every user needs log-probabilities: finite, at most 0, at least one of them"
            )
