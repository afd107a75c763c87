"""Queries of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import ForgetBatch, ForgetBatchItem, ForgetRequest


class ItemRow(NamedTuple):
    """An item, and the status of its request."""

    item: ForgetBatchItem
    status: str | None


def find(session: Session, batch_id: str) -> ForgetBatch | None:
    return session.get(ForgetBatch, batch_id)


def items_of(session: Session, batch_id: str) -> Sequence[ItemRow]:
    rows = session.execute(
        select(ForgetBatchItem, ForgetRequest.status)
        .outerjoin(ForgetRequest, ForgetRequest.id == ForgetBatchItem.request_id)
        .where(ForgetBatchItem.batch_id == batch_id)
        .order_by(ForgetBatchItem.position)
    )
    return [ItemRow(item, status) for item, status in rows]
