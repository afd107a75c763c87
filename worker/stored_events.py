"""Stored interactions as the events of a prompt style: items, or items with a user's rating."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.interactions import queries as interactions
from recommender import Base, Catalogue, PromptStyle


def read_events(session: Session, base: Base, *, up_to: int) -> dict[str, list[int]]:
    """Every user's stored events up to this watermark, as events of the base's style. The list may be empty."""
    if not base.style.needs_ratings:
        histories = interactions.histories(session, up_to=up_to)
        return {subject: events_of(items, base.catalogue) for subject, items in histories.items()}
    rated = interactions.rated_histories(session, up_to=up_to)
    return {
        subject: rated_events_of(history, base.catalogue, base.style) for subject, history in rated.items()
    }


def events_of(items: Sequence[str], catalogue: Catalogue) -> list[int]:
    """Item indices, each item once at its first occurrence: next-item prediction never asks for a seen item."""
    return list(dict.fromkeys(index for item in items if (index := catalogue.index(item)) is not None))


def rated_events_of(
    history: Sequence[tuple[str, float | None]], catalogue: Catalogue, style: PromptStyle
) -> list[int]:
    """The events with a rating, each item once at its first rating. Such a style does not read events without one."""
    first: dict[int, int] = {}
    for item, rating in history:
        index = catalogue.index(item)
        if index is not None and rating is not None:
            first.setdefault(index, style.event(index, rating))
    return list(first.values())
