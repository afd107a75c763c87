"""The answers of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

FallbackReason = Literal[
    "suppressed",
    "unknown_user",
    "stale_feed",
    "no_history",
    "no_candidates",
    "no_version",
    "below_erasure_floor",
    "draining",
]


class RankedItem(NamedTuple):
    """One item of an answer. ``score`` is the model's log-odds; None if no model computed it."""

    item: int
    item_id: str
    title: str
    score: float | None


@dataclass(frozen=True)
class Recommendation:
    """One answer, best item first.

    ``version`` names what computed the answer: the digest of a version, or ``fallback:`` and the digest of the
    popularity list (see `app.serving.fallback`). ``generation`` is the generation under which that version served; None
    for a fallback, which does not depend on the serving pointer. ``retriever`` names what found the candidates; None if
    none were needed or the caller named them.
    """

    items: tuple[RankedItem, ...]
    personalised: bool
    fallback_reason: FallbackReason | None
    version: str
    generation: int | None
    retriever: str | None = None
