"""Batches of token sequences of unequal length, with padding."""

from collections.abc import Sequence

import torch
from torch import Tensor


def by_token_budget(lengths: Sequence[int], token_budget: int, most: int | None = None) -> list[list[int]]:
    """Indices in groups whose `longest x count` stays within the budget, longest sequences first.

    No group has more than `most` members.

    Sequences of similar length share a group, so that little of the budget is padding. A sequence longer than the
    budget has a group of its own.
    """
    groups: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        full = groups and most is not None and len(groups[-1]) >= most
        if not groups or full or longest * (len(groups[-1]) + 1) > token_budget:
            groups.append([])
            longest = lengths[index]
        groups[-1].append(index)
    return groups


def pad_right(sequences: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """(tokens, mask), both int64 `[count, longest]`, mask 1 on real tokens."""
    return _pad(sequences, pad, left=False)


def pad_left(sequences: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Like `pad_right` with the padding on the left, so that the last column holds every sequence's last token."""
    return _pad(sequences, pad, left=True)


def _pad(sequences: Sequence[Sequence[int]], pad: int, *, left: bool) -> tuple[Tensor, Tensor]:
    longest = max((len(sequence) for sequence in sequences), default=0)
    tokens = torch.full((len(sequences), longest), pad, dtype=torch.int64)
    mask = torch.zeros_like(tokens)
    for row, sequence in enumerate(sequences):
        start = longest - len(sequence) if left else 0
        tokens[row, start : start + len(sequence)] = torch.as_tensor(sequence, dtype=torch.int64)
        mask[row, start : start + len(sequence)] = 1
    return tokens, mask
