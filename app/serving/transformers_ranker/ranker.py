"""A version as a model in this process: the shared base, with the version's own adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from app.serving.ranker import RankingRequest, ranked
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
        return ranked(self.scorer, self.catalogue, requests)

    def tokens(self, request: RankingRequest) -> int:
        """Approximate number of tokens in the prompt, see `PromptStyle.prompt_tokens`."""
        return self.scorer.style.prompt_tokens(request.history)
