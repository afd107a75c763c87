"""An adapter rounded to few bits: does rounding undo an edit?

Small edits can vanish in the rounding (arXiv 2410.16454). Only the values are rounded; the tensors keep their type,
so the result attaches like any other adapter.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from recommender import Adapter
from unlearning.errors import InvalidEvaluation

Levels = Literal["uniform", "nf4"]
GROUP = 64

# Quantiles of a normal distribution, scaled to [-1, 1] with an exact 0 (QLoRA, arXiv 2305.14314, appendix E).
NF4_LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip


def rounded(adapter: Adapter, bits: Literal[4, 8] = 8, *, levels: Levels = "uniform") -> Adapter:
    """The adapter with every tensor rounded to `bits` and scaled back.

    The grid is symmetric and scaled by the largest magnitude. 8 bits give 255 equally spaced values, with one scale per
    row (output) of a tensor. 4 bits give 15 equally spaced values, or the 16 of NF4, with one scale per group of 64
    values along a row. Halfway values go to the even one. Scales stay in full precision.

    Raises:
        InvalidEvaluation: other bits or levels, or NF4 with other than 4 bits.
    """
    if bits not in (4, 8) or levels not in ("uniform", "nf4") or (levels == "nf4" and bits != 4):
        raise InvalidEvaluation(
            f"bits must be 8, or 4 with uniform or nf4 levels, not {bits} with {levels!r}"
        )
    return adapter.replace({name: _rounded(tensor, bits, levels) for name, tensor in adapter.tensors.items()})


def _rounded(tensor: Tensor, bits: int, levels: Levels) -> Tensor:
    values = tensor.detach().double()
    if bits == 8:
        return _on_steps(values, 127).to(tensor.dtype)
    width = values.shape[-1]
    # Zeros that fill up a row's last group change neither its scale nor its other values.
    groups = functional.pad(values, (0, -width % GROUP)).reshape(*values.shape[:-1], -1, GROUP)
    near = _on_nf4(groups) if levels == "nf4" else _on_steps(groups, 7)
    return near.flatten(-2)[..., :width].contiguous().to(tensor.dtype)


def _on_steps(values: Tensor, steps: int) -> Tensor:
    scale = _largest(values) / steps
    return (values / scale).round() * scale


def _on_nf4(values: Tensor) -> Tensor:
    scale = _largest(values)
    levels = torch.tensor(NF4_LEVELS, dtype=values.dtype, device=values.device)
    between = (levels[1:] + levels[:-1]) / 2
    return levels[torch.bucketize(values / scale, between)] * scale


def _largest(values: Tensor) -> Tensor:
    """Largest magnitude along the last dimension; 1 where all values are 0, so that they stay 0."""
    largest = values.abs().amax(-1, keepdim=True)
    return torch.where(largest > 0, largest, 1.0)
