"""A version as a model in this process: the shared base, with the version's own adapter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from app.serving.errors import InferenceFailed
from app.serving.ranker import RankingRequest
from app.serving.recommendation import RankedItem
from recommender import Catalogue, Scorer


@dataclass(frozen=True, eq=False)
class TransformersRanker:
    """A loaded version. The adapter's tensors are freed with the last reference to this object."""

    digest: str
    forget_epoch: int
    catalogue: Catalogue
    scorer: Scorer = field(repr=False)
    lost: ClassVar[bool] = False

    def rank(self, requests: Sequence[RankingRequest]) -> list[tuple[RankedItem, ...]]:
        """The best items of each request by `Scorer.best`; see `Ranker.rank`."""
        found = self.scorer.best(
            [request.history for request in requests],
            [request.k for request in requests],
            [request.candidates for request in requests],
            [request.left_out for request in requests],
        )
        if any(math.isnan(score) for items in found for _, score in items):
            raise InferenceFailed
        return [
            tuple(
                RankedItem(item, self.catalogue.item_ids[item], self.catalogue.titles[item], score)
                for item, score in items
            )
            for items in found
        ]

    def tokens(self, request: RankingRequest) -> int:
        """Approximate number of tokens in the prompt, see `PromptStyle.prompt_tokens`."""
        return self.scorer.style.prompt_tokens(request.history)
