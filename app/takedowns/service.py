"""Taking items down: from then on nothing names them, and nothing recommends from their events or trains on them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.audit.takedown_events import ItemErased, ItemTakenDown
from app.audit.transaction import Transaction
from app.db.ledger import next_epoch
from app.db.models import Interaction, ItemTakedown, TakenItemId
from app.levels import service as levels
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.readers import service as readers
from app.runs.service import Claim, owned
from app.takedowns.queries import events_of, of_item
from app.takedowns.spelling import spelled
from model_store import JournalEntry


@dataclass(frozen=True)
class TakenDown:
    """``created`` is False if the item was taken down before. Then nothing was changed."""

    takedown: ItemTakedown
    created: bool


def take_down(
    transaction: Transaction,
    item_id: str,
    *,
    spellings: Iterable[str],
    requested_by: str,
    now: datetime,
    client_reference: str | None = None,
    takedown_id: str | None = None,
    restored: bool = False,
) -> TakenDown:
    """Take an item down, and hide its stored events, in one transaction. Any id is taken, also one that no catalogue
    lists: should the item ever come, nothing may name it.

    The ledger's lock, which an import takes too, puts this in order with every event: an event is stored before and
    hidden, or dropped (`app.interactions.service.ingest`).

    Args:
        spellings: of the item's id in stored events (`stored_spellings`) and in the catalogue.
        takedown_id: the id of a takedown that the database has lost; None for a new one.
        restored: whether the database has lost it.
    """
    session = transaction.session
    existing = of_item(session, item_id)
    if existing is not None:
        return TakenDown(existing, created=False)
    row = ItemTakedown(
        id=takedown_id or f"td_{uuid.uuid4().hex}",
        item_id=spelled(item_id),
        epoch=next_epoch(transaction.ledger),
        client_reference=client_reference,
        requested_by=requested_by,
        taken_down_at=now,
        erased_events=0,
    )
    session.add(row)
    session.flush()
    session.add_all(
        TakenItemId(item_id=spelling, takedown_id=row.id) for spelling in {row.item_id, *spellings}
    )
    outbox.put(session, Topic.TAKEN_DOWN, row.id, now=now)
    transaction.record(
        ItemTakenDown(takedown=row.id, item=row.item_id, epoch=row.epoch, restored=restored),
        actor=requested_by,
    )
    return TakenDown(row, created=True)


def journal_entry(row: ItemTakedown) -> JournalEntry:
    """The entry of the erasure journal about a takedown. Every process makes the same one."""
    return JournalEntry(
        epoch=row.epoch,
        subject_hmac="",
        suppressed_at=row.taken_down_at.isoformat(),
        request=row.id,
        item=row.item_id,
        schema=5,
    )


def entry_of(session: Session, takedown_id: str) -> JournalEntry | None:
    """The journal's entry about the takedown with this id."""
    row = session.get(ItemTakedown, takedown_id)
    return None if row is None else journal_entry(row)


def drop_levels(transaction: Transaction, claim: Claim) -> None:
    """Delete all levels, and a making under way: half fits that had read the items' events have measured them.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    owned(transaction.session, claim.run_id, claim.fence)
    levels.drop_all(transaction.session)


def erase_events(transaction: Transaction, claim: Claim, takedown_id: str, *, limit: int) -> int:
    """Delete stored events of a taken item, at most so many. Returns how many; 0 if none is left. Safe to repeat.

    A version had read them. So whoever waits for events of theirs to be forgotten counts as read from now on:
    otherwise the outcome of their request would be `no_data`.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    session = transaction.session
    owned(session, claim.run_id, claim.fence)
    events = events_of(session, takedown_id, limit=limit)
    waiting = session.scalars(
        select(Interaction.subject_hmac).where(
            Interaction.id.in_(events), Interaction.selected_epoch.is_not(None)
        )
    )
    readers.add_past_readers(session, sorted(set(waiting)))
    session.execute(delete(Interaction).where(Interaction.id.in_(events)))
    session.get_one(ItemTakedown, takedown_id).erased_events += len(events)
    return len(events)


def settle(
    transaction: Transaction, claim: Claim, takedowns: Sequence[str], *, version: str | None, now: datetime
) -> None:
    """Say of these takedowns that they are erased. Call in the transaction that completes the run.

    Args:
        takedowns: their ids. No version that exists has read the items' events, and none of these is stored.
        version: the digest of the version that serves; None if none does.
    """
    for row in transaction.session.scalars(
        select(ItemTakedown)
        .where(ItemTakedown.id.in_(takedowns), ItemTakedown.erased_at.is_(None))
        .order_by(ItemTakedown.epoch)
    ):
        row.erased_at, row.run_id, row.version_digest = now, claim.run_id, version
        transaction.record(
            ItemErased(
                takedown=row.id,
                item=row.item_id,
                run=claim.run_id,
                version=version,
                events=row.erased_events,
                erased_at=now.isoformat(),
            )
        )
