"""From scores of the catalogue to rankings, whatever computed the scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from recommender.errors import DataError
from recommender.ranking import top_k
from recommender.styles.style import PromptStyle


class CatalogueScorer(ABC):
    """Ranks items by scores that a subclass computes.

    Attributes:
        style: how histories become tokens.
    """

    style: PromptStyle

    @abstractmethod
    def raw_scores(
        self, histories: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]] | None
    ) -> Tensor:
        """Scores `[len(histories), items]`, float32 on the CPU, seen items too; -inf for items that are no candidate.

        Raises:
            DataError: an item outside the catalogue, or a style that needs candidates got none.
        """

    def scores(
        self,
        histories: Sequence[Sequence[int]],
        *,
        mask_seen: bool = True,
        candidates: Sequence[Sequence[int]] | None = None,
    ) -> Tensor:
        """Scores `[len(histories), items]`, float32 on the CPU; with `mask_seen`, items of the history are -inf.

        An empty history is allowed. The mask covers the whole history, also the part that the model does not read.
        Items that are no candidate are -inf; a style that ranks the whole catalogue needs no candidates.

        Raises:
            DataError: an item outside the catalogue, or a style that needs candidates got none.
        """
        scores = self.raw_scores(histories, candidates)
        if mask_seen:
            for row, history in enumerate(histories):
                scores[row, self._seen(history)] = -torch.inf
        return scores

    def best(
        self,
        histories: Sequence[Sequence[int]],
        k: Sequence[int],
        candidates: Sequence[Sequence[int] | None] | None = None,
        left_out: Sequence[Collection[int]] | None = None,
    ) -> list[Sequence[tuple[int, float]]]:
        """The best `k` unseen items for each history, best first, with their scores.

        They are the head of the sorted `scores`. A torn model shows as NaN among the scores.

        Args:
            candidates: the only items to rank for each history; None there for the whole catalogue.
            left_out: items not to rank for each history, as if they were seen. The model still reads them where they
                are candidates, or in the history.

        Raises:
            DataError: an item outside the catalogue, or a style that needs candidates got none.
        """
        allowed = [None] * len(histories) if candidates is None else list(candidates)
        unwanted: Sequence[Collection[int]] = [()] * len(histories) if left_out is None else left_out
        rows = range(len(histories))
        return list(self._head(histories, k, allowed, unwanted, rows)) if histories else []

    def item_log_probs(
        self, histories: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]] | None = None
    ) -> Tensor:
        """Log-probabilities `[len(histories), items]` of the next item, softmax over the scores; seen items stay."""
        return torch.log_softmax(self.scores(histories, mask_seen=False, candidates=candidates), dim=-1)

    def _head(
        self,
        histories: Sequence[Sequence[int]],
        k: Sequence[int],
        allowed: Sequence[Sequence[int] | None],
        unwanted: Sequence[Collection[int]],
        rows: Sequence[int],
    ) -> list[list[tuple[int, float]]]:
        named = None
        if any(allowed[row] is not None for row in rows):
            everything = range(self.style.catalogue_size)
            named = [everything if (some := allowed[row]) is None else some for row in rows]
        scores = self.scores([histories[row] for row in rows], candidates=named)
        for place, row in enumerate(rows):
            scores[place, list(unwanted[row])] = -torch.inf
        order = top_k(scores, max(k[row] for row in rows))
        values = scores.gather(1, order)
        return [
            [
                (item, score)
                for item, score in zip(items[: k[row]], best[: k[row]], strict=True)
                if score != -torch.inf
            ]
            for row, items, best in zip(rows, order.tolist(), values.tolist(), strict=True)
        ]

    def _seen(self, history: Sequence[int]) -> list[int]:
        if history and not 0 <= min(history) <= max(history) < self.style.event_kinds:
            raise DataError(f"a history holds an item outside the catalogue of {self.style.catalogue_size}")
        return [self.style.item_of(event) for event in history]
