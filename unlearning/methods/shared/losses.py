"""The objectives of gradient methods, as arithmetic on logits.

In all functions `logits` is float [rows, choices, options] (softmax over a choice's options only) and `targets` is
int64 [rows, choices], `IGNORED` where nothing is predicted. Every loss is a scalar to be minimised, the mean over what
it counts. An item whose event takes several choices counts once for each of them, except in log-likelihoods, which add
them up. No function raises; a batch without any target gives NaN (0 / 0).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from recommender.choices import IGNORED

LikelihoodUnit = Literal["item", "sequence"]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean negative log-likelihood per predicted item: the loss that training minimised."""
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def gradient_ascent(logits: Tensor, targets: Tensor) -> Tensor:
    """The negative of `cross_entropy`: minimising it raises the training loss. Unbounded below."""
    return -cross_entropy(logits, targets)


def log_likelihoods(
    logits: Tensor, targets: Tensor, unit: LikelihoodUnit, events: Tensor | None = None
) -> Tensor:
    """Log-probability of each predicted item [items], or the sum for each row that predicts any [rows].

    `events` as in `Batch`: the choices of one event add up to the log-probability of its item.
    """
    counted = targets != IGNORED
    chosen = torch.log_softmax(logits, dim=-1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    if unit == "item" and events is not None:
        row = torch.arange(len(events), device=events.device).unsqueeze(1)
        _, item_of = torch.unique((row * events.shape[1] + events)[counted], return_inverse=True)
        items = int(item_of.max()) + 1 if len(item_of) else 0
        return chosen.new_zeros(items).index_add(0, item_of, chosen[counted])
    if unit == "item":
        return chosen[counted]
    return (chosen * counted).sum(-1)[counted.any(-1)]


def negative_preference(policy: Tensor, reference: Tensor, beta: float) -> Tensor:
    """NPO: -(2 / beta) E log sigmoid(-beta log(pi / pi_ref)) of log-likelihoods [n] (arXiv 2404.05868, equation 3).

    Its gradient is that of gradient ascent times 2 pi^beta / (pi^beta + pi_ref^beta): this is 1 at the start and tends
    to 0 as the likelihood falls far below the reference.
    """
    return -(2.0 / beta) * functional.logsigmoid(-beta * (policy - reference)).mean()


def simple_negative_preference(likelihoods: Tensor, lengths: Tensor, beta: float, delta: float) -> Tensor:
    """SimNPO: -(2 / beta) E log sigmoid(beta (NLL / |y| - delta)), without a reference (arXiv 2410.07163).

    `likelihoods` are log-likelihoods [n] of units that hold `lengths` [n] items each.
    """
    return -(2.0 / beta) * functional.logsigmoid(beta * (-likelihoods / lengths - delta)).mean()


def divergence_from(reference: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Mean KL(reference || model) over the positions that predict an item; both are logits of the same shape."""
    counted = targets != IGNORED
    before = torch.log_softmax(reference[counted], dim=-1)
    after = torch.log_softmax(logits[counted], dim=-1)
    return (before.exp() * (before - after)).sum(-1).mean()


def soft_cross_entropy(teacher: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -sum softmax(teacher) log softmax(model): KL(teacher || model) plus the teacher's constant entropy."""
    counted = targets != IGNORED
    return functional.cross_entropy(logits[counted], torch.softmax(teacher[counted], dim=-1))
