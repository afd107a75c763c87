"""The events of the audit log about items; see `app.audit.events`. An item's id names nobody, so they hold it."""

from __future__ import annotations

from dataclasses import dataclass

from app.audit.events import Event


@dataclass(frozen=True)
class ItemTakenDown(Event):
    """An item was taken down. ``restored``: the takedown was read from the erasure journal, or known to a process."""

    action = "item.taken_down"
    takedown: str
    item: str
    epoch: int
    restored: bool = False


@dataclass(frozen=True)
class ItemErased(Event):
    """Nothing that exists has read the item's events any more. ``version`` serves then; None if no version does.

    ``events`` counts those that were deleted.
    """

    action = "item.erased"
    takedown: str
    item: str
    run: str
    version: str | None
    events: int
    erased_at: str
