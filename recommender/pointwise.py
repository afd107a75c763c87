"""Measures of a model that says of single events how likely their label is: the area under the ROC curve.

The area is the probability that a liked item scores higher than a disliked one, of the same user or of another.
"""

from __future__ import annotations

import torch
from torch import Tensor


def log_odds(nll: Tensor, liked: Tensor) -> Tensor:
    """Log-odds of yes, float64 [n], from the losses `nll` [n] (nats, among two labels) of the true labels `liked` [n].

    With p = exp(-nll) of the true label they are plus or minus ln(p / (1 - p)).
    """
    loss = nll.double()
    # -ln(e^loss - 1), also where e^loss overflows.
    odds = -(loss + torch.log(-torch.expm1(-loss)))
    return torch.where(liked, odds, -odds)


def area_under_curve(positives: Tensor, negatives: Tensor) -> float:
    """Probability that a positive exceeds a negative, ties counting half (Mann-Whitney U / n m)."""
    return float(_below(positives, negatives).mean())


def components(scores: Tensor, liked: Tensor) -> Tensor:
    """Of each event, the share of events of the other label that its score tells from it, float64 [n].

    These are the structural components of DeLong et al. (1988): their mean over the liked events is the area, and so it
    is over the disliked ones. Both labels must occur.
    """
    found = torch.empty(len(scores), dtype=torch.float64)
    found[liked] = _below(scores[liked], scores[~liked])
    found[~liked] = 1.0 - _below(scores[~liked], scores[liked])
    return found


def _below(scores: Tensor, others: Tensor) -> Tensor:
    """Of each score, the share of others below it, ties counting half, float64."""
    ordered = others.sort().values
    below = torch.searchsorted(ordered, scores, right=False)
    not_above = torch.searchsorted(ordered, scores, right=True)
    return (below + not_above).double() / 2 / len(others)
