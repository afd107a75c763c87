"""A version as a model in this process: the base that all versions share, with the version's own adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from app.serving.errors import InferenceFailed
from app.serving.ranker import RankingRequest
from app.serving.recommendation import RankedItem
from recommender import Catalogue, Scorer, top_k


@dataclass(frozen=True, eq=False)
class TransformersRanker:
    """The adapter's tensors live exactly as long as the last reference to this."""

    digest: str
    forget_epoch: int
    catalogue: Catalogue
    scorer: Scorer = field(repr=False)

    def rank(self, requests: Sequence[RankingRequest]) -> list[tuple[RankedItem, ...]]:
        """One forward pass for each token budget of the scorer; see `Ranker.rank`."""
        candidates = None
        if any(request.candidates is not None for request in requests):
            everything = tuple(range(len(self.catalogue.item_ids)))
            candidates = [everything if one.candidates is None else one.candidates for one in requests]
        scores = self.scorer.scores(
            [request.history for request in requests], mask_seen=True, candidates=candidates
        )
        if bool(torch.isnan(scores).any()):
            raise InferenceFailed
        widest = max((request.k for request in requests), default=0)
        order = top_k(scores, widest)
        best = scores.gather(1, order)
        return [
            tuple(
                RankedItem(item, self.catalogue.item_ids[item], self.catalogue.titles[item], score)
                for item, score in zip(items[: request.k], values[: request.k], strict=True)
                if score != -torch.inf
            )
            for request, items, values in zip(requests, order.tolist(), best.tolist(), strict=True)
        ]

    def tokens(self, request: RankingRequest) -> int:
        """About as many as the prompt has; see `PromptStyle.prompt_tokens`."""
        return self.scorer.style.prompt_tokens(request.history)
