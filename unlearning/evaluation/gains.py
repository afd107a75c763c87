"""Gains, the basis of membership evidence: how much better an adapter predicts an item than the bare base.

A gain is the score of the "reference" attack of the membership-inference literature, with the base as reference model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def smoothed(nll: Tensor, smoothing: float, options: int) -> Tensor:
    """-ln((1 - epsilon) p + epsilon / options) for p = exp(-nll), float64, same shape."""
    if smoothing == 0.0:
        return nll.double()
    uniform = math.log(smoothing / options)
    # The tensor must be on the losses' device; a CPU scalar is not accepted here.
    return -torch.logaddexp(
        math.log1p(-smoothing) - nll.double(), nll.new_tensor(uniform, dtype=torch.float64)
    )
