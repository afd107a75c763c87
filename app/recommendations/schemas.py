"""Answers of GET /recommend."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from app.serving import FallbackReason, Recommendation


class ItemView(BaseModel):
    item_id: str
    title: str
    score: float | None


class RecommendationView(BaseModel):
    """``version`` names what computed the items: a version's digest, or ``fallback:…`` for the popularity list.

    ``retriever`` names what found the candidates; null if the caller named them or none were needed.
    """

    items: list[ItemView]
    personalised: bool
    fallback_reason: FallbackReason | None
    version: str
    generation: int | None
    retriever: str | None


def content_of(answer: Recommendation) -> dict[str, Any]:
    """The content of a `RecommendationView`, without the time that its checks take."""
    return {
        "items": [
            {"item_id": item.item_id, "title": item.title, "score": item.score} for item in answer.items
        ],
        "personalised": answer.personalised,
        "fallback_reason": answer.fallback_reason,
        "version": answer.version,
        "generation": answer.generation,
        "retriever": answer.retriever,
    }
