"""Ranks and ranking metrics for one relevant item per user.

Tie rule: an item's rank is 1 plus the number of items that score strictly higher plus the number of equally
scored items with a smaller catalogue index. That is the order of a stable descending sort, so the metrics describe
exactly the list that is served, and a constant model is not rewarded.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from recommender.errors import DataError

CUTOFFS = (5, 10)


def ranks(scores: Tensor, targets: Tensor) -> Tensor:
    """Rank of each row's target, int64 `[n]`; 1 is best, ties go by catalogue index.

    Args:
        scores: `[n, items]`; higher is better, -inf marks items that must not be recommended.
        targets: int64 `[n]`, a catalogue index per row.

    Raises:
        DataError: the shapes do not match, a target is outside the catalogue, or a score is NaN.
    """
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise DataError(f"scores {tuple(scores.shape)} and targets {tuple(targets.shape)} do not fit")
    if bool(torch.isnan(scores).any()):
        raise DataError("scores hold NaN")
    if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < scores.shape[1]:
        raise DataError(f"a target is outside the catalogue of {scores.shape[1]}")
    target_scores = scores.gather(1, targets.unsqueeze(1))
    earlier = torch.arange(scores.shape[1], device=scores.device).unsqueeze(0) < targets.unsqueeze(1)
    ahead = (scores > target_scores) | ((scores == target_scores) & earlier)
    return ahead.sum(dim=1) + 1


def top_k(scores: Tensor, k: int) -> Tensor:
    """Catalogue indices of each row's best `k`, int64 `[n, min(k, items)]`, in the order of `ranks`."""
    return torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :k]


def recall_at(ranks: Tensor, k: int) -> Tensor:
    """Per user, 1 if the target is among the first `k`, else 0 (with one relevant item: also hit rate)."""
    return (ranks <= k).double()


def mrr_at(ranks: Tensor, k: int) -> Tensor:
    """Per user, 1 / rank if the target is among the first `k`, else 0."""
    return torch.where(ranks <= k, 1.0 / ranks.double(), 0.0)


def ndcg_at(ranks: Tensor, k: int) -> Tensor:
    """Per user, 1 / log2(rank + 1) if the target is among the first `k`, else 0 (the ideal gain is 1)."""
    return torch.where(ranks <= k, 1.0 / torch.log2(ranks.double() + 1.0), 0.0)


@dataclass(frozen=True)
class RankingMetrics:
    """Recall, MRR and NDCG at 5 and 10 from one target's rank per user.

    `ranks` is int64 `[users]`. `per_user` gives the values for a paired bootstrap.
    """

    ranks: Tensor

    def per_user(self, name: str) -> Tensor:
        """Float64 `[users]` values of `recall@5`, `mrr@10`, ….

        Raises:
            DataError: there is no such metric.
        """
        metric, _, cutoff = name.partition("@")
        functions = {"recall": recall_at, "mrr": mrr_at, "ndcg": ndcg_at}
        if metric not in functions or not cutoff.isdecimal() or int(cutoff) < 1:
            raise DataError(f"no metric {name!r}; use recall@k, mrr@k or ndcg@k")
        return functions[metric](self.ranks, int(cutoff))

    def means(self) -> dict[str, float]:
        """Mean over users of every metric at 5 and 10, NaN for no users."""
        names = [f"{metric}@{k}" for metric in ("recall", "mrr", "ndcg") for k in CUTOFFS]
        return {name: float(self.per_user(name).mean()) for name in names}
