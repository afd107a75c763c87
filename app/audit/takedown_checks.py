"""Whether takedowns agree with the audit log and the erasure journal; a part of `app.audit.verification`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.takedown_events import ItemErased, ItemTakenDown
from app.db.models import ItemTakedown
from app.restoration.differences import lost_takedowns
from model_store import JournalEntry


@dataclass
class LoggedTakedowns:
    """What the entries say, not verified: the item of each takedown, and how each was erased."""

    items: dict[str, Any] = field(default_factory=dict)
    erased: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def read(self, action: str, data: Mapping[str, Any]) -> None:
        """Take over what an entry says, if it is about an item."""
        takedown = str(data["takedown"])
        if action == ItemTakenDown.action:
            self.items[takedown] = data["item"]
            # Read from the journal after it was lost, a takedown begins anew.
            self.erased.pop(takedown, None)
        elif action == ItemErased.action:
            self.erased[takedown] = data


def disagreements(session: Session, log: LoggedTakedowns, journaled: Sequence[JournalEntry]) -> Iterable[str]:
    """What the rows say otherwise than the log or the journal. A takedown that is gone lets an item come back."""
    rows = {row.id: row for row in session.scalars(select(ItemTakedown).order_by(ItemTakedown.epoch))}
    for row in rows.values():
        if row.id not in log.items:
            yield f"takedown {row.id}: no entry says that the item was taken down"
        elif log.items[row.id] != row.item_id:
            yield f"takedown {row.id}: its item is not the one that was taken down"
        yield from _erasure(row, log.erased.get(row.id))
    for takedown in log.items:
        if takedown not in rows:
            yield f"takedown {takedown}: the item was taken down, and its row is gone"
    for entry in lost_takedowns(session, journaled):
        yield f"epoch {entry.epoch}: the journal in the store has a takedown that this database does not"


def _erasure(row: ItemTakedown, said: Mapping[str, Any] | None) -> Iterable[str]:
    if (row.erased_at is not None) != (said is not None):
        other = "no entry says that it was erased" if said is None else "its entry says that it was erased"
        yield f"takedown {row.id}: it is {row.state}, and {other}"
    elif said is not None and row.erased_at is not None:
        held = (row.version_digest, row.erased_events, row.erased_at)
        if held != (said["version"], said["events"], moment(said["erased_at"])):
            yield f"takedown {row.id}: it was not erased as its entry says"


def moment(text: object) -> datetime | None:
    """The instant that an entry has as text; None if it is none."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
