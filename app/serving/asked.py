"""Checks what is asked of the engine."""

from __future__ import annotations

from collections.abc import Sequence

from app.serving.errors import InvalidRequest
from app.serving.ranker import RankerLoader, RankingRequest


def checked_request(
    loader: RankerLoader, history: Sequence[int], k: int, candidates: Sequence[int] | None
) -> RankingRequest:
    """The request, if rankers of this loader can answer it.

    Raises:
        InvalidRequest: as `ServingEngine.recommend` says.
    """
    size, most = len(loader.catalogue.item_ids), loader.candidates
    if most is not None and history and (candidates is None or len(candidates) > most):
        raise InvalidRequest
    if not 1 <= k <= size or not _within(candidates, size) or not _within(history, loader.event_kinds):
        raise InvalidRequest
    return RankingRequest(tuple(history), k, None if candidates is None else tuple(candidates))


def _within(numbers: Sequence[int] | None, end: int) -> bool:
    return not numbers or (min(numbers) >= 0 and max(numbers) < end)
