"""Queries of users' events: histories, one user's newest events, and popular items.

Events that a request has selected, and those of items that were taken down, are hidden from all of these. `subjects`
and `watermark` count them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models import Interaction, Suppression
from app.selections.queries import SHOWN
from app.suppressions.queries import IN_FORCE


def newest_items(session: Session, subject_hmac: str, *, limit: int) -> list[str]:
    """The subject's last ``limit`` items, oldest first, in the same order as in training."""
    rows = session.scalars(
        select(Interaction.item_id)
        .where(Interaction.subject_hmac == subject_hmac, SHOWN)
        .order_by(Interaction.timestamp.desc(), Interaction.id.desc())
        .limit(limit)
    ).all()
    return list(reversed(rows))


def newest_rated_items(session: Session, subject_hmac: str, *, limit: int) -> list[tuple[str, float | None]]:
    """As `newest_items`, each item with its rating, None where there is none."""
    rows = session.execute(
        select(Interaction.item_id, Interaction.rating)
        .where(Interaction.subject_hmac == subject_hmac, SHOWN)
        .order_by(Interaction.timestamp.desc(), Interaction.id.desc())
        .limit(limit)
    ).all()
    return [(item_id, rating) for item_id, rating in reversed(rows)]


def subjects(session: Session) -> frozenset[str]:
    """All subjects with at least one stored event."""
    return frozenset(session.scalars(select(Interaction.subject_hmac).distinct()))


def watermark(session: Session) -> int:
    """The highest event id handed out so far; 0 before the first event."""
    return session.scalar(select(func.max(Interaction.id))) or 0


def histories(session: Session, *, up_to: int, only: Collection[str] | None = None) -> dict[str, list[str]]:
    """The items of each subject, in time order, of the events that an adapter with this watermark was trained on.

    Events with the same time are in the order of their arrival. `lethe init` stores events in the data loader's order.
    ``only`` limits the subjects.
    """
    result: dict[str, list[str]] = {}
    query = (
        select(Interaction.subject_hmac, Interaction.item_id)
        .where(Interaction.id <= up_to, SHOWN)
        .order_by(Interaction.subject_hmac, Interaction.timestamp, Interaction.id)
    )
    if only is not None:
        query = query.where(Interaction.subject_hmac.in_(only))
    for subject_hmac, item_id in session.execute(query.execution_options(yield_per=10_000)):
        result.setdefault(subject_hmac, []).append(item_id)
    return result


def rated_histories(session: Session, *, up_to: int) -> dict[str, list[tuple[str, float | None]]]:
    """As `histories`, each item with its rating, None where there is none."""
    result: dict[str, list[tuple[str, float | None]]] = {}
    query = (
        select(Interaction.subject_hmac, Interaction.item_id, Interaction.rating)
        .where(Interaction.id <= up_to, SHOWN)
        .order_by(Interaction.subject_hmac, Interaction.timestamp, Interaction.id)
    )
    for subject_hmac, item_id, rating in session.execute(query.execution_options(yield_per=10_000)):
        result.setdefault(subject_hmac, []).append((item_id, rating))
    return result


def histories_without(
    session: Session, left_out: Collection[str], *, up_to: int
) -> Iterator[tuple[str, list[str]]]:
    """Yields each subject who is not in ``left_out``, with their items in time order."""
    rows = session.execute(
        select(Interaction.subject_hmac, Interaction.item_id)
        .where(Interaction.id <= up_to, SHOWN)
        .order_by(Interaction.subject_hmac, Interaction.timestamp, Interaction.id)
        .execution_options(yield_per=10_000)
    )
    for subject, events in groupby(rows, key=lambda row: str(row.subject_hmac)):
        if subject not in left_out:
            yield subject, [str(event.item_id) for event in events]


def popularity(session: Session, *, limit: int) -> list[str]:
    """The most popular items for the fallback, over everyone who is not suppressed. Ties are ordered by item id."""
    admitted = ~(
        select(Suppression.epoch)
        .where(Suppression.subject_hmac == Interaction.subject_hmac, IN_FORCE)
        .exists()
    )
    users = func.count(func.distinct(Interaction.subject_hmac))
    return list(
        session.scalars(
            select(Interaction.item_id)
            .where(admitted, SHOWN)
            .group_by(Interaction.item_id)
            .order_by(users.desc(), Interaction.item_id)
            .limit(limit)
        )
    )
