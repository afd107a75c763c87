"""The retained users who share most items with the subjects. Damage and leaks show first among them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unlearning.errors import InvalidEvaluation


def nearest_users(subjects: Sequence[Sequence[int]], others: Sequence[Sequence[int]], k: int) -> Tensor:
    """Indices into `others` of the `k` users most like each subject, most similar first, int64 [subjects, k].

    Similarity is the cosine between item sets, order and repetition ignored; ties go to the lower index. Memory is
    linear in the interactions: no user-by-item matrix is built.

    Raises:
        InvalidEvaluation: no subject, or `k` outside 1 to the number of others.
    """
    if not subjects or not 1 <= k <= len(others):
        raise InvalidEvaluation(
            f"k must lie in 1 to {len(others)} others, not {k}, and there must be a subject"
        )
    sets = [_items(other) for other in others]
    owners = torch.repeat_interleave(torch.arange(len(sets)), torch.tensor([len(own) for own in sets]))
    met = torch.cat(sets)
    wanted = [_items(subject) for subject in subjects]
    catalogue = 1 + max((int(own.max()) for own in (met, *wanted) if len(own)), default=0)
    lengths = torch.tensor([len(own) for own in sets], dtype=torch.float64).sqrt()
    rows = []
    for own in wanted:
        shared = torch.zeros(catalogue, dtype=torch.float64)
        shared[own] = 1.0
        overlap = torch.zeros(len(sets), dtype=torch.float64).index_add_(0, owners, shared[met])
        # The subject's own length scales all similarities equally, so it is left out. Users without weight get 0.
        similarity = torch.where(lengths > 0, overlap / lengths, 0.0)
        rows.append(similarity.argsort(descending=True, stable=True)[:k])
    return torch.stack(rows)


def union(nearest: Tensor) -> tuple[int, ...]:
    """The users who are near at least one subject, each once, in ascending order."""
    return tuple(sorted(set(nearest.flatten().tolist())))


def _items(sequence: Sequence[int]) -> Tensor:
    return torch.tensor(sorted(set(sequence)), dtype=torch.int64)
