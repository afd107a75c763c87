"""Queries of takedowns, and of the events that they hide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.chunks import in_chunks
from app.db.models import Interaction, ItemTakedown, TakenItemId
from app.takedowns.spelling import spelled


def of_item(session: Session, item_id: str) -> ItemTakedown | None:
    """The takedown of the item with this id, in any spelling."""
    return session.scalars(select(ItemTakedown).where(ItemTakedown.item_id == spelled(item_id))).one_or_none()


def newest(session: Session, *, limit: int, before: str | None = None) -> Sequence[ItemTakedown]:
    """Takedowns, the newest first.

    Args:
        before: the id of a takedown, to list only older ones.
    """
    query = select(ItemTakedown).order_by(ItemTakedown.epoch.desc()).limit(limit)
    last = None if before is None else session.get(ItemTakedown, before)
    if last is not None:
        query = query.where(ItemTakedown.epoch < last.epoch)
    return session.scalars(query).all()


def taken_among(session: Session, items: Iterable[str]) -> set[str]:
    """Those of these canonical ids that were taken down."""
    return {
        item
        for chunk in in_chunks(items)
        for item in session.scalars(select(ItemTakedown.item_id).where(ItemTakedown.item_id.in_(chunk)))
    }


def after(session: Session, epoch: int) -> list[tuple[int, str]]:
    """Epochs and item ids of the takedowns with a higher epoch, in order."""
    rows = session.execute(
        select(ItemTakedown.epoch, ItemTakedown.item_id)
        .where(ItemTakedown.epoch > epoch)
        .order_by(ItemTakedown.epoch)
    )
    return [(row.epoch, row.item_id) for row in rows]


def pending(session: Session, *, up_to: int | None = None) -> Sequence[ItemTakedown]:
    """Takedowns that are not erased, in the order of their epochs.

    Args:
        up_to: the highest epoch; None for any.
    """
    query = select(ItemTakedown).where(ItemTakedown.erased_at.is_(None)).order_by(ItemTakedown.epoch)
    return session.scalars(query if up_to is None else query.where(ItemTakedown.epoch <= up_to)).all()


def erased_since(session: Session, epoch: int) -> bool:
    """Whether an item that was taken down after this epoch is erased."""
    erased = select(ItemTakedown.id).where(ItemTakedown.erased_at.is_not(None), ItemTakedown.epoch > epoch)
    return session.scalar(erased.limit(1)) is not None


def newest_epoch(session: Session) -> int:
    """The epoch of the last takedown; 0 before the first."""
    return session.scalar(select(func.max(ItemTakedown.epoch))) or 0


def stored_spellings(session: Session, item_id: str) -> set[str]:
    """The spellings of the item's id in stored events. This reads all events, which takes time."""
    canonical = spelled(item_id)
    found = session.scalars(select(Interaction.item_id).distinct())
    return {spelling for spelling in found if spelled(spelling) == canonical}


def events_of(session: Session, takedown_id: str, *, limit: int) -> list[int]:
    """The ids of the item's stored events, at most so many."""
    spellings = select(TakenItemId.item_id).where(TakenItemId.takedown_id == takedown_id)
    return list(
        session.scalars(select(Interaction.id).where(Interaction.item_id.in_(spellings)).limit(limit))
    )
